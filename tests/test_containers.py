"""Dockerfile and compose.yaml: what can be said of them without an engine."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|TOKEN")
ENVIRONMENT = {
    "POSTGRES_PASSWORD": "p",
    "S3_ACCESS_KEY": "a",
    "S3_SECRET_KEY": "s",
    "GOA_USER": "1000:1000",
}


def instructions() -> list[tuple[str, str]]:
    """Read the Dockerfile as pairs of instruction and arguments, comments left out."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    words = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, rest in words]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for name, rest in instructions():
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, rest))
    return found


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def compose_client(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    if (
        shutil.which("docker") is None
        or subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("the client `docker compose` is not here")
    own = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    return subprocess.run(
        ["docker", "compose", "--env-file", os.devnull, *arguments],
        cwd=ROOT,
        env=own | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_both_stages_are_made_from_the_base_that_is_given() -> None:
    assert [stage[0][1] for stage in stages()] == ["${BASE} AS build", "${BASE}"]


def test_a_change_of_the_sources_leaves_the_locked_environment_as_it_is() -> None:
    build, run = stages()
    lock = ("COPY", "pyproject.toml requirements.lock ./")
    assert [step for step in build if step[0] == "COPY"] == [lock]
    install = next(step for step in build if "--constraint requirements.lock" in step[1])
    assert build.index(lock) < build.index(install)
    environment = ("COPY", "--from=build /opt/goa /opt/goa")
    assert run.index(environment) < run.index(("COPY", "--chown=goa:goa . /project"))


def test_the_image_runs_as_a_user_that_orchestrators_can_see_is_not_root() -> None:
    users = [rest for name, rest in stages()[-1] if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])


def test_compilers_stay_in_the_build_stage() -> None:
    build, run = (" ".join(rest for _, rest in stage) for stage in stages())
    assert "build-essential" in build
    assert "build-essential" not in run
    assert "pip install" not in run


def test_what_is_private_or_large_does_not_enter_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".git", ".env*", ".dvc/cache", ".dvc/config.local", ".goa", "data", "out"} <= {*ignored}


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "compose.gpu.yaml"])
def test_no_file_names_a_registry(name: str, compose: dict[str, Any]) -> None:
    hosts = re.findall(r"https?://([^/:\"$]+)", (ROOT / name).read_text(encoding="utf-8"))
    assert {*hosts} <= {*compose["services"], "127.0.0.1"}


def test_ports_are_published_on_loopback_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("network_mode" in service for service in compose["services"].values())


def test_every_service_has_a_health_check(compose: dict[str, Any]) -> None:
    checked = {
        name
        for name, service in compose["services"].items()
        if service.get("healthcheck", {}).get("test")
    }
    assert checked == {"postgres", "s3", "mlflow", "prefect", "worker"}


def test_mlflow_is_asked_by_the_name_that_its_clients_use_and_by_a_real_call(
    compose: dict[str, Any],
) -> None:
    address = compose["services"]["worker"]["environment"]["MLFLOW_TRACKING_URI"]
    mlflow = compose["services"]["mlflow"]
    # /health answers although MLflow refuses every client for its Host header.
    assert f"{address}/api/" in mlflow["healthcheck"]["test"][-1]
    allowed = mlflow["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert address.removeprefix("http://") in allowed


def test_mlflow_runs_as_one_small_process(compose: dict[str, Any]) -> None:
    mlflow = compose["services"]["mlflow"]
    assert "--workers 1" in mlflow["command"][-1]
    assert mlflow["environment"]["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_no_secret_is_written_down_or_has_a_default(compose: dict[str, Any]) -> None:
    values = [
        value
        for service in compose["services"].values()
        for name, value in service.get("environment", {}).items()
        if SECRET.search(name) or name == "PGPASSWORD"
    ]
    assert values
    assert all(re.fullmatch(r"\$\{[A-Z0-9_]+(:\?[^}]+)?\}", value) for value in values)


def test_server_and_worker_are_of_one_image(compose: dict[str, Any]) -> None:
    assert {compose["services"][name]["image"] for name in ("mlflow", "prefect", "worker")} == {
        "goa"
    }


def test_images_are_pinned_and_name_no_host(compose: dict[str, Any]) -> None:
    for name in ("postgres", "s3"):
        image, _, tag = compose["services"][name]["image"].partition(":")
        assert re.match(r"\d", tag)
        assert "." not in image


@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]])
def test_the_client_understands_the_files(files: list[str]) -> None:
    options = [word for name in files for word in ("--file", name)]
    shown = compose_client(*options, "config", "--format", "json", **ENVIRONMENT)
    assert shown.returncode == 0, shown.stderr
    services = json.loads(shown.stdout)["services"]
    assert {
        port["host_ip"] for service in services.values() for port in service.get("ports", [])
    } == {"127.0.0.1"}


@pytest.mark.parametrize("missing", sorted(ENVIRONMENT))
def test_the_client_refuses_to_start_without(missing: str) -> None:
    given = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    refused = compose_client("config", "--quiet", **given)
    assert refused.returncode != 0
    assert missing in refused.stderr
