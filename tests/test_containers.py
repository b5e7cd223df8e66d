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
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|TOKEN|AUTH_STRING")
ENVIRONMENT = {
    "POSTGRES_PASSWORD": "p",
    "S3_ACCESS_KEY": "a",
    "S3_SECRET_KEY": "s",
    "MLFLOW_PASSWORD": "m",
    "MLFLOW_SECRET_KEY": "k",
    "PREFECT_PASSWORD": "f",
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


def test_nothing_runs_as_root_after_the_user_is_set() -> None:
    steps = stages()[-1]
    after = steps[next(place for place, step in enumerate(steps) if step[0] == "USER") :]
    assert [rest for name, rest in after if name == "USER" and rest != "10001:10001"] == []
    assert "sudo" not in " ".join(rest for _, rest in steps)


def test_services_of_the_image_keep_its_user_and_cannot_get_more_rights(
    compose: dict[str, Any],
) -> None:
    for name in ("mlflow", "prefect", "worker"):
        service = compose["services"][name]
        assert service.get("user", "").startswith(("", "${GOA_USER:?"))
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert not any(
        service.get("privileged") or service.get("cap_add") or service.get("pid")
        for service in compose["services"].values()
    )


def test_no_index_is_asked_for_goa_itself() -> None:
    """Extras name one another by goa's name: whoever takes that name on an index would be in."""
    build = " ".join(rest for _, rest in stages()[0])
    assert "--requirement" not in build
    asked = re.findall(r'--editable "?(\S+)', build)
    assert asked
    assert all(each.startswith(".") for each in asked)
    for extras, expected in (("a b", ".[a,b]"), ("", ".")):
        said = subprocess.run(
            [
                "sh",
                "-c",
                f'EXTRAS="{extras}"; echo ".${{EXTRAS:+[$(echo ${{EXTRAS}} | tr \' \' ,)]}}"',
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.strip() == expected


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


def test_mlflow_and_prefect_ask_for_a_password_and_the_worker_knows_it(
    compose: dict[str, Any],
) -> None:
    services = compose["services"]
    mlflow, prefect, worker = (
        services[name]["environment"] for name in ("mlflow", "prefect", "worker")
    )
    assert "--app-name basic-auth" in services["mlflow"]["command"][-1]
    assert mlflow["MLFLOW_AUTH_ADMIN_USERNAME"] == worker["MLFLOW_TRACKING_USERNAME"]
    pairs = [
        (mlflow["MLFLOW_AUTH_ADMIN_PASSWORD"], worker["MLFLOW_TRACKING_PASSWORD"]),
        (prefect["PREFECT_SERVER_API_AUTH_STRING"], worker["PREFECT_API_AUTH_STRING"]),
    ]
    for server, client in pairs:
        assert server.partition(":?")[0] == client.rstrip("}")
    asked = compose["configs"]["mlflow-auth"]["content"]
    assert mlflow["MLFLOW_AUTH_CONFIG_PATH"] == services["mlflow"]["configs"][0]["target"]
    database = re.search(r"postgres/(\w+)$", asked, re.MULTILINE)
    assert database is not None
    assert f"CREATE DATABASE {database[1]};" in compose["configs"]["databases"]["content"]
    assert not mlflow["MLFLOW_BACKEND_STORE_URI"].endswith(f"/{database[1]}")


def test_no_secret_is_written_down_or_has_a_default(compose: dict[str, Any]) -> None:
    values = [
        value
        for service in compose["services"].values()
        for name, value in service.get("environment", {}).items()
        if SECRET.search(name) or name == "PGPASSWORD"
    ]
    assert values
    # Prefect takes the user's name and the password in one.
    assert all(re.fullmatch(r"(goa:)?\$\{[A-Z0-9_]+(:\?[^}]+)?\}", value) for value in values)
    texts = [each["content"] for each in compose["configs"].values()]
    assert texts
    assert not any(re.search(r"(?i)password|secret|://[^/\s]*:", text) for text in texts)


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
