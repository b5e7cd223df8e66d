"""What is made at a Prefect server, with a stand-in for it; a real one is in test_schedule.py."""

import contextlib
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from goa.errors import PipelineError
from pipelines import deploy as module
from pipelines.deploy import deploy, deployment_environment, server_address

API = "http://127.0.0.1:4200/api"
DEPLOYMENTS = Path(__file__).parents[2] / "prefect.yaml"


class Server:
    """Stands in for a Prefect server's client."""

    def __init__(self) -> None:
        self.pools: dict[str, str] = {}
        self.limits: dict[str, int] = {}
        self.watches: list[Any] = []
        self.deployed = 0

    @contextlib.contextmanager
    def client(self, *, sync_client: bool) -> Iterator["Server"]:
        assert sync_client
        yield self

    def read_work_pool(self, name: str) -> None:
        self._find(name, self.pools)

    def create_work_pool(self, pool: Any) -> None:
        self.pools[pool.name] = pool.type

    def read_global_concurrency_limit_by_name(self, name: str) -> None:
        self._find(name, self.limits)

    def create_global_concurrency_limit(self, limit: Any) -> None:
        self.limits[limit.name] = limit.limit

    def read_automations_by_name(self, name: str) -> list[Any]:
        return [watch for watch in self.watches if watch.name == name]

    def create_automation(self, watch: Any) -> None:
        self.watches.append(watch)

    @staticmethod
    def _find(name: str, known: Any) -> None:
        if name not in known:
            raise ObjectNotFound(Exception("404"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Stand in for a server that has nothing yet."""
    made = Server()
    monkeypatch.setattr(module, "get_client", made.client)
    monkeypatch.setattr(module, "visible_gpus", lambda: ("0", "1", "2"))

    def count(_: Path) -> None:
        made.deployed += 1

    monkeypatch.setattr(module, "_deploy_all", count)
    with temporary_settings({PREFECT_API_URL: API}):
        yield made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a project with two pools, a limit, and a deployment without one."""
    content = {
        "deployments": [
            {"name": "b", "work_pool": {"name": "far"}, "parameters": {"limit": "gpus"}},
            {"name": "a", "work_pool": {"name": "goa"}, "parameters": {"source": {}}},
        ]
    }
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def test_what_deployments_name_is_made(server: Server, root: Path) -> None:
    found = deploy(root)
    assert (found.api, found.names, found.pools) == (API, ("b", "a"), ("far", "goa"))
    assert server.pools == {"far": "process", "goa": "process"}
    assert server.limits == {"gpus": 3}
    assert len(server.watches) == 1
    assert server.deployed == 1


@pytest.mark.parametrize(("here", "given", "slots"), [((), None, 1), (("0",), 8, 8)])
def test_a_limit_is_as_large_as_told_or_as_there_are_gpus(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch, here: Any, given: Any, slots: int
) -> None:
    monkeypatch.setattr(module, "visible_gpus", lambda: here)
    deploy(root, given)
    assert server.limits == {"gpus": slots}


def test_what_is_there_already_is_left_alone(server: Server, root: Path) -> None:
    server.pools["goa"], server.limits["gpus"] = "kubernetes", 5
    deploy(root)
    deploy(root)
    assert server.pools == {"far": "process", "goa": "kubernetes"}
    assert server.limits == {"gpus": 5}
    assert len(server.watches) == 1
    assert server.deployed == 2


def test_a_run_of_ours_without_signs_of_life_is_called_crashed(server: Server, root: Path) -> None:
    deploy(root)
    (watch,) = server.watches
    trigger = watch.trigger
    assert trigger.posture.value == "Proactive"
    assert trigger.after == {"prefect.flow-run.heartbeat"}
    # Who has come to an end gives no more signs of life, and is not watched.
    ends = {"Completed", "Failed", "Cancelled", "Crashed", "AwaitingRetry"}
    assert trigger.expect == trigger.after | {f"prefect.flow-run.{end}" for end in ends}
    assert trigger.within == timedelta(seconds=90)
    assert trigger.threshold == 1
    assert trigger.for_each == {"prefect.resource.id"}
    assert trigger.match_related.root["prefect.resource.id"] == ["prefect.tag.goa"]
    (action,) = watch.actions
    assert action.state.value == "CRASHED"


def test_deployments_have_the_tag_and_the_signs_of_life_that_are_watched() -> None:
    for deployment in yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]:
        assert module.TAG in deployment["tags"]
        given = deployment["work_pool"]["job_variables"]["env"]
        assert 2 * int(given["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) < module.SILENCE_SECONDS


def test_a_server_that_does_not_answer_is_named(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(server, "read_work_pool", refuse)
    with pytest.raises(PipelineError, match=f"^{API}: the Prefect server cannot be used: refused"):
        deploy(root)
    assert server.deployed == 0


@pytest.mark.parametrize("text", ["{}", "deployments: [{}]", "deployments: 5"])
def test_a_file_without_deployments_is_refused(server: Server, root: Path, text: str) -> None:
    (root / "prefect.yaml").write_text(text)
    with pytest.raises(PipelineError, match=r"prefect\.yaml: expected a list of deployments, each"):
        deploy(root)
    assert not server.deployed


def test_without_a_server_nothing_is_deployed(root: Path) -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        with pytest.raises(PipelineError, match="PREFECT_API_URL names no Prefect server"):
            deploy(root)
        with temporary_settings({PREFECT_API_URL: API}):
            assert server_address() == API


def test_deployments_run_this_folder_unless_told_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOA_REPOSITORY", raising=False)
    assert deployment_environment(tmp_path)["GOA_REPOSITORY"] == str(tmp_path)
    monkeypatch.setenv("GOA_REPOSITORY", "https://example.org/project.git")
    assert deployment_environment(tmp_path)["GOA_REPOSITORY"].startswith("https:")


def test_prefect_is_asked_to_deploy_all_here_and_its_words_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho "$PWD $GOA_REPOSITORY $@"\nexit $CODE\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setenv("CODE", "0")
    monkeypatch.delenv("GOA_REPOSITORY", raising=False)
    root = tmp_path / "project"
    root.mkdir()
    module._deploy_all(root)
    monkeypatch.setenv("CODE", "1")
    told = f"{root} {root} -m prefect --no-prompt deploy --all"
    with pytest.raises(PipelineError, match=f"prefect deploy failed:\n{told}"):
        module._deploy_all(root)


def test_every_schedule_has_a_name_and_says_whether_it_is_on() -> None:
    deployments = yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]
    schedules = [each for found in deployments for each in found.get("schedules", [])]
    assert schedules
    # Without a name Prefect doubles or switches on what was paused, when it is deployed again.
    assert all({"slug", "active"} <= each.keys() for each in schedules)
