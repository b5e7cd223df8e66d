"""The work pools' templates: what can be said of them without Prefect."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apart import run_apart

ROOT = Path(__file__).parent.parent
POOLS = ["docker", "kubernetes"]
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|TOKEN|AUTH_STRING|API_KEY")


@pytest.fixture(params=POOLS)
def template(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads((ROOT / "pools" / f"{request.param}.json").read_text(encoding="utf-8"))


def leaves(node: Any) -> Iterator[tuple[str, Any]]:
    """Give every value with the key it stands under."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list):
            yield from leaves(value)
        else:
            yield str(key), value


def placeholders(template: dict[str, Any]) -> set[str]:
    values = [value for _, value in leaves(template["job_configuration"])]
    texts = [value for value in values if isinstance(value, str)]
    return {name for text in texts for name in re.findall(r"{{\s*([^}\s]+)\s*}}", text)}


def of_goa_user() -> int:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return int(re.findall(r"^USER (\d+):\1$", text, flags=re.MULTILINE)[-1])


def pod(name: str = "kubernetes") -> dict[str, Any]:
    template = json.loads((ROOT / "pools" / f"{name}.json").read_text(encoding="utf-8"))
    return template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]


def test_what_is_placed_is_declared_and_what_is_declared_is_placed(template) -> None:
    assert set(template) == {"job_configuration", "variables"}
    assert placeholders(template) == set(template["variables"]["properties"])


def test_what_is_required_has_no_default_and_all_else_has_one(template) -> None:
    variables = template["variables"]
    with_default = {name for name, about in variables["properties"].items() if "default" in about}
    required = set(variables.get("required", []))
    assert with_default == set(variables["properties"]) - required


def test_secrets_are_named_and_never_given(template) -> None:
    secrets = [value for key, value in leaves(template) if SECRET.search(key)]
    assert secrets
    assert all(re.fullmatch(r"{{ \$[A-Z_]+ }}", value) for value in secrets if value is not None)


def test_no_pool_names_a_registry_or_a_server(template) -> None:
    texts = [value for key, value in leaves(template) if isinstance(value, str)]
    assert not [text for text in texts if re.search(r"://|\.\w+/\w+[:@/]", text)]


def test_nothing_runs_with_more_rights_than_the_image_gives() -> None:
    security = pod()["securityContext"]
    assert security["runAsNonRoot"] is True
    assert {security[name] for name in ("runAsUser", "runAsGroup", "fsGroup")} == {of_goa_user()}
    text = "".join((ROOT / "pools" / f"{name}.json").read_text("utf-8") for name in POOLS)
    assert not re.search("privileged|hostNetwork|hostPID|hostPath|docker.sock", text)


def test_what_outlives_a_run_lies_in_the_home_of_the_image() -> None:
    home = re.search(r"\bHOME=(\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert home
    mounts = {mount["name"]: mount["mountPath"] for mount in pod()["containers"][0]["volumeMounts"]}
    assert mounts["home"] == home[1]
    docker = json.loads((ROOT / "pools" / "docker.json").read_text(encoding="utf-8"))
    (volume,) = docker["variables"]["properties"]["volumes"]["default"]
    assert volume.split(":")[1] == home[1]


def test_the_image_is_the_one_that_the_compose_file_builds() -> None:
    docker = json.loads((ROOT / "pools" / "docker.json").read_text(encoding="utf-8"))
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert docker["variables"]["properties"]["image"]["default"] == compose["x-goa"]["image"]


def test_a_lost_pod_is_the_servers_business_and_never_started_again_by_the_cluster() -> None:
    job = json.loads((ROOT / "pools" / "kubernetes.json").read_text(encoding="utf-8"))
    assert job["job_configuration"]["job_manifest"]["spec"]["backoffLimit"] == 0
    assert pod()["restartPolicy"] == "Never"


def test_all_pods_need_of_a_node_with_gpus_is_asked_for() -> None:
    resources = pod()["containers"][0]["resources"]
    assert resources["limits"] == {"nvidia.com/gpu": "{{ gpus }}", "memory": "{{ memory }}"}
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert [toleration["key"] for toleration in pod()["tolerations"]] == ["nvidia.com/gpu"]


@pytest.mark.long
def test_a_real_server_and_the_workers_own_code_take_the_pools() -> None:
    run_apart("tests/pipelines/pools_on_a_server.py", 13)
