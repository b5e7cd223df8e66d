"""The doctor: each thing it looks at, well and ill."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy
from packaging.specifiers import SpecifierSet
from pydantic import SecretStr
from typer.testing import CliRunner

from goa.errors import DataError
from goa.tracking.store import Store, connect, find_store
from pipelines import doctor, leftovers, servers, versions
from pipelines.cli import app
from pipelines.findings import Finding
from pipelines.leftovers import find_locks, find_orphans
from pipelines.locks import only_run
from pipelines.servers import ask_mlflow, ask_prefect
from pipelines.versions import check_versions, locked_versions

GONE = 2**22 - 1
"""No process has this number: it is the highest there can be, and they start from below."""


def by_name(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@contextmanager
def serve(answer: Callable[[str, str], tuple[int, Any]]) -> Iterator[str]:
    """Serve what a function of method and path says; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            code, content = answer(self.command, self.path)
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# Versions


def test_the_list_of_locked_versions_names_what_goa_runs_on() -> None:
    tested = locked_versions((Path(__file__).parents[2] / "requirements.lock").read_text())
    assert set(versions.SHOWN) <= tested.keys()
    assert tested["torch"].count(".") == 2


def test_the_locked_versions_are_well(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = (Path(__file__).parents[2] / "requirements.lock").read_text()
    monkeypatch.setattr(versions.metadata, "version", locked_versions(lock).__getitem__)
    monkeypatch.setattr(versions, "asked_versions", lambda: {"dvc": SpecifierSet(">=3.61,<4")})

    found = by_name(check_versions())
    assert {found[name].state for name in versions.SHOWN} == {"ok"}


def test_another_python_than_the_tested_one_is_told() -> None:
    found = versions._check_python("# CPython 3.1.4\ndvc==3.66.1\n")
    assert (found.state, found.detail.endswith("; tested with 3.1.4")) == ("warn", True)


def test_run_from_its_sources_goa_asks_for_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise versions.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(versions.metadata, "requires", missing)
    assert versions.asked_versions() == {}


def test_where_the_lock_is_nowhere_it_says_where_it_was_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(versions, "LOCK", "nonesuch.lock")
    monkeypatch.setattr(versions.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(DataError, match=f"no nonesuch.lock in .* or {tmp_path}/share/goa"):
        versions._find_lock()


@pytest.mark.parametrize(
    ("installed", "state", "said"),
    [
        ("0.150.0", "ok", "0.150.0"),
        ("0.149.1", "warn", "tested with 0.150.0"),
        ("0.165.0", "fail", "goa works with <0.151,>=0.139"),
    ],
)
def test_a_version_beside_the_tested_one_is_told_and_one_out_of_range_is_ill(
    monkeypatch: pytest.MonkeyPatch, installed: str, state: str, said: str
) -> None:
    monkeypatch.setattr(versions.metadata, "version", lambda _: installed)
    asked = {"fastapi": SpecifierSet(">=0.139,<0.151")}
    monkeypatch.setattr(versions, "asked_versions", lambda: asked)

    found = by_name(check_versions())["fastapi"]
    assert (found.state, said in found.detail) == (state, True)


def test_a_build_of_the_tested_version_is_the_tested_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(versions.metadata, "version", lambda _: "2.13.0+cpu")
    monkeypatch.setattr(versions, "asked_versions", dict)

    assert by_name(check_versions())["torch"].state == "ok"


def test_a_package_that_is_missing_is_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise versions.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(versions.metadata, "version", version)
    assert "pip install 'dvc==" in by_name(check_versions())["dvc"].detail


# MLflow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, any_store: Store) -> Store:
    """Stand in a project whose store is ready."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(f"tracking: {{experiment: {any_store.experiment}}}\n")
    return any_store


def test_a_store_that_is_ready_is_well(project: Store) -> None:
    connect(project)

    found = by_name(ask_mlflow(Path()))
    assert {finding.state for finding in found.values()} == {"ok"}
    assert "migrated" in found["mlflow tables"].detail
    assert "experiments:" in found["mlflow store"].detail


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated_database: Path) -> Path:
    """Stand in a project whose database is SQLite; gives the file."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(migrated_database, tmp_path / "mlflow.db"))


def test_a_database_that_is_not_made_yet_is_not_made(sqlite: Path) -> None:
    sqlite.unlink()

    assert by_name(ask_mlflow(Path()))["mlflow tables"].state == "warn"
    assert not sqlite.exists()


@pytest.mark.usefixtures("sqlite")
def test_a_database_without_tables_is_told_what_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = SimpleNamespace(found=None)
    store = Store(uri="postgresql://somewhere/goa", experiment="goa", artifacts=None)
    monkeypatch.setattr(servers, "read_schema", lambda _: schema)
    monkeypatch.setattr(servers, "project_store", lambda _: store)
    (found,) = ask_mlflow(Path())
    assert found.state == "warn"
    assert "has none yet; `goa init` or `goa run` makes them" in found.detail


@pytest.mark.parametrize(
    ("revision", "said"),
    [("451aebb31d03", "mlflow db upgrade"), ("ffffffffffff", "newer MLflow")],
)
def test_a_database_of_another_mlflow_is_ill_and_left_as_it_is(
    sqlite: Path, revision: str, said: str
) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{sqlite}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"UPDATE alembic_version SET version_num='{revision}'"))
    engine.dispose()
    before = sqlite.read_bytes()

    (found,) = ask_mlflow(Path())
    assert (found.state, said in found.detail) == ("fail", True)
    assert sqlite.read_bytes() == before


def test_a_server_that_refuses_the_host_name_is_ill_though_its_health_is_green(
    sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del sqlite
    refused = "Invalid Host header - possible DNS rebinding attack detected"

    def answer(_: str, path: str) -> tuple[int, Any]:
        return (200, "OK") if path == "/health" else (403, refused)

    with serve(answer) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        found = by_name(ask_mlflow(Path()))["mlflow store"]
    assert found.state == "fail"
    assert "MLFLOW_SERVER_ALLOWED_HOSTS" in found.detail


def test_a_server_that_answers_is_well(sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del sqlite
    with serve(lambda *_: (200, {"experiments": []})) as url:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        found = by_name(ask_mlflow(Path()))
    assert {finding.state for finding in found.values()} == {"ok"}


# Prefect


def prefect(monkeypatch: pytest.MonkeyPatch, url: str | None, *, ephemeral: bool = False) -> None:
    """Let Prefect's settings say so."""
    import prefect.settings  # noqa: PLC0415

    settings = SimpleNamespace(
        api=SimpleNamespace(url=url, auth_string=None, key=None),
        server=SimpleNamespace(ephemeral=SimpleNamespace(enabled=ephemeral)),
    )
    monkeypatch.setattr(prefect.settings, "get_current_settings", lambda: settings)


def test_without_a_prefect_server_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    prefect(monkeypatch, None)
    (found,) = ask_prefect()
    assert (found.state, "PREFECT_API_URL is not set" in found.detail) == ("ok", True)


def test_a_prefect_server_of_this_version_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    import prefect as package  # noqa: PLC0415

    asked = []

    def answer(method: str, path: str) -> tuple[int, Any]:
        asked.append((method, path))
        return 200, package.__version__ if path.endswith("version") else []

    with serve(answer) as url:
        prefect(monkeypatch, f"{url}/api")
        (found,) = ask_prefect()
    assert found.state == "ok"
    assert asked[0] == ("POST", "/api/flows/filter")


def test_a_prefect_server_of_another_version_and_an_embedded_one_beside_it_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve(lambda _, path: (200, "3.7.2" if path.endswith("version") else [])) as url:
        prefect(monkeypatch, f"{url}/api", ephemeral=True)
        found = by_name(ask_prefect())
    assert found["prefect server"].state == found["prefect embedded"].state == "warn"
    assert "3.7.2" in found["prefect server"].detail
    assert "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE" in found["prefect embedded"].detail


@pytest.mark.parametrize("code", [500, 403])
def test_a_prefect_server_that_refuses_is_ill(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    with serve(lambda *_: (code, "no entry")) as url:
        prefect(monkeypatch, f"{url}/api")
        (found,) = ask_prefect()
    assert (found.state, str(code) in found.detail) == ("fail", True)
    assert "no entry" in found.detail


@pytest.mark.parametrize(
    ("auth_string", "key", "header"),
    [
        (SecretStr("me:secret"), None, {"Authorization": "Basic bWU6c2VjcmV0"}),
        (None, SecretStr("pnu_x"), {"Authorization": "Bearer pnu_x"}),
        (None, None, {}),
    ],
)
def test_a_prefect_server_is_asked_as_prefect_asks_it(
    auth_string: SecretStr | None, key: SecretStr | None, header: dict[str, str]
) -> None:
    assert servers._credentials(SimpleNamespace(auth_string=auth_string, key=key)) == header


def test_a_prefect_server_that_is_down_is_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "SECONDS", 1.0)
    prefect(monkeypatch, "http://127.0.0.1:9/api")
    (found,) = ask_prefect()
    assert found.state == "fail"


# GPUs


@pytest.mark.parametrize(
    ("driver", "torch", "device", "state"),
    [
        (0, 0, "auto", "ok"),
        (0, 0, "cuda", "fail"),
        (2, 2, "auto", "ok"),
        (2, 0, "auto", "fail"),
        (2, 1, "cuda", "fail"),
    ],
)
def test_torch_has_to_see_the_gpus_that_the_driver_sees(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    driver: int,
    torch: int,
    device: str,
    state: str,
) -> None:
    (tmp_path / "params.yaml").write_text(f"compute: {{device: {device}}}\n")
    monkeypatch.setattr(doctor, "visible_gpus", lambda: ("0", "1")[:driver])
    monkeypatch.setattr(doctor, "COUNT_GPUS", f"print({torch}, '12.8')")

    (found,) = doctor._gpus(tmp_path)
    assert found.state == state


def test_a_torch_that_cannot_be_imported_is_ill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "visible_gpus", lambda: ("0",))
    monkeypatch.setattr(doctor, "COUNT_GPUS", "import no_such_module")

    (found,) = doctor._gpus(tmp_path)
    assert (found.state, "cannot be imported" in found.detail) == ("fail", True)


# Locks


def test_without_locks_all_is_free(tmp_path: Path) -> None:
    assert {finding.state for finding in find_locks(tmp_path)} == {"ok"}


def test_a_run_at_work_is_well(tmp_path: Path) -> None:
    with only_run(tmp_path):
        found = by_name(find_locks(tmp_path))["run lock"]
    assert (found.state, str(os.getpid()) in found.detail) == ("ok", True)


def test_looking_at_a_lock_leaves_it_free(tmp_path: Path) -> None:
    with only_run(tmp_path):
        pass
    list(find_locks(tmp_path))
    with only_run(tmp_path):
        pass


@pytest.mark.parametrize("text", ["{}", '{"read": {}, "write": {}}'])
def test_what_dvc_leaves_when_nobody_holds_a_path_is_free(tmp_path: Path, text: str) -> None:
    path = tmp_path / ".dvc/tmp/rwlock"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    found = by_name(find_locks(tmp_path))["dvc path locks"]
    assert (found.state, found.detail) == ("ok", "free")


@pytest.mark.parametrize(("name", "place"), [("run", ".goa/run.lock"), ("dvc", ".dvc/tmp/lock")])
def test_a_lock_whose_process_is_gone_but_that_is_held_on_is_told(
    tmp_path: Path, name: str, place: str
) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(f"{GONE}\n")
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = by_name(find_locks(tmp_path))[f"{name} lock"]
    assert (found.state, str(GONE) in found.detail) == ("warn", True)


def test_a_hard_link_lock_of_a_process_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers.socket, "gethostname", lambda: "here")
    path = tmp_path / ".dvc/tmp/lock"
    path.parent.mkdir(parents=True)
    path.write_text(f"here|{GONE}|12345")
    assert by_name(find_locks(tmp_path))["dvc lock"].state == "warn"
    path.write_text(f"elsewhere|{GONE}|12345")
    assert by_name(find_locks(tmp_path))["dvc lock"].state == "ok"


@pytest.mark.parametrize(
    ("content", "state"),
    [
        ({"read": {}, "write": {}}, "ok"),
        ({"read": {"out/a": [{"pid": os.getpid(), "cmd": "dvc"}]}, "write": {}}, "ok"),
        ({"read": {"out/a": [{"pid": GONE, "cmd": "dvc"}]}, "write": {}}, "warn"),
        ({"read": {}, "write": {"out/b": {"pid": GONE, "cmd": "dvc"}}}, "warn"),
        ({"read": []}, "fail"),
    ],
)
def test_paths_that_dvc_thinks_are_in_use_by_processes_that_are_gone_are_told(
    tmp_path: Path, content: Any, state: str
) -> None:
    path = tmp_path / ".dvc/tmp/rwlock"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    assert by_name(find_locks(tmp_path))["dvc path locks"].state == state


def test_a_database_lock_that_stays_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "HELD_SECONDS", 0.2)
    with (tmp_path / "mlflow.db.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = by_name(find_locks(tmp_path))["mlflow lock"]
    assert found.state == "warn"


# Orphans


STAGE = "-m pipelines.none"
SLEEP = "import time; print('up', flush=True); time.sleep(60)"


def start_stage(root: Path, *, keep_parent: bool) -> tuple[subprocess.Popen[bytes], int]:
    """Start a parent with a child that looks like a stage; gives the parent and the child."""
    child = [sys.executable, "-c", SLEEP, *STAGE.split()]
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({child!r}, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        f"time.sleep(60 if {keep_parent} else 0)\n"
    )
    started = subprocess.Popen([sys.executable, "-c", parent], cwd=root, stdout=subprocess.PIPE)
    assert started.stdout is not None
    pid = int(started.stdout.readline())
    if not keep_parent:
        started.wait(30)
    return started, pid


@pytest.fixture
def stages() -> Iterator[list[Any]]:
    """Collect processes that have to end with the test."""
    pids: list[Any] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_a_stage_whose_parent_is_gone_is_an_orphan(tmp_path: Path, stages: list[int]) -> None:
    process, pid = start_stage(tmp_path, keep_parent=False)
    stages.append(pid)
    assert process.stdout is not None
    process.stdout.close()

    (found,) = find_orphans(tmp_path)
    assert (found.state, f"kill {pid}" in found.detail) == ("fail", True)
    (elsewhere,) = find_orphans(tmp_path / "another")
    assert elsewhere.state == "ok"


def test_a_stage_whose_parent_lives_is_none(tmp_path: Path, stages: list[int]) -> None:
    process, pid = start_stage(tmp_path, keep_parent=True)
    stages += [process.pid, pid]
    assert process.stdout is not None
    process.stdout.close()

    (found,) = find_orphans(tmp_path)
    assert found.state == "ok"
    process.kill()
    process.wait(30)
    stages.remove(process.pid)
    # Until the kernel has given the child away.
    deadline = time.monotonic() + 10
    while (now := next(find_orphans(tmp_path))).state == "ok" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert now.state == "fail"


def process(pid: int, parent: int, session: int, command: str = "", name: str = "") -> Any:
    return leftovers._Process(
        pid=pid, parent=parent, session=session, name=name, command=command, folder=None
    )


@pytest.mark.parametrize(
    ("parent", "session", "adopted"),
    [
        (process(9, 1, 9, "dvc repro"), 9, False),  # as DVC starts it
        (process(9, 1, 9, "a reaper of another name"), 7, True),
        (process(9, 1, 9, "somebody's script"), 10, False),  # in a session of its own
        (process(9, 1, 9, name="systemd"), 10, True),
        (process(1, 0, 1, "init"), 1, True),
    ],
)
def test_whoever_adopts_is_known_by_its_number_name_or_session(
    parent: Any, session: int, adopted: bool
) -> None:
    shell = process(10, parent.pid, session, "sh -c python -m pipelines.finetune bleu")
    stage = process(11, 10, session, "python -m pipelines.finetune bleu")
    others = {each.pid: each for each in (parent, shell, stage)}
    assert leftovers._is_adopted(stage, others) is adopted


@pytest.mark.parametrize("pid", [1, 7])
def test_the_first_process_of_a_container_was_not_adopted(pid: int) -> None:
    first = process(pid, 0, pid, "python -m pipelines.finetune bleu")
    stage = process(11, pid, 11, "python -m pipelines.finetune bleu")
    assert not leftovers._is_adopted(stage, {each.pid: each for each in (first, stage)})


def test_what_has_ended_and_waits_to_be_asked_for_is_no_process() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert leftovers._process(Path(f"/proc/{ended.pid}")) is None
    assert leftovers._process(Path(f"/proc/{os.getpid()}")) is not None


# All together


def test_a_healthy_project_ends_with_0_and_an_ill_one_with_1(
    sqlite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(find_store(sqlite.parent, "goa"))
    Path("dvc.yaml").write_text("stages: {}\n")
    Path(".dvc/tmp").mkdir(parents=True)
    monkeypatch.setattr(doctor, "check_versions", lambda: iter(()))
    monkeypatch.setattr(doctor, "visible_gpus", tuple)
    monkeypatch.setattr(doctor, "FULL_DISK", 0)
    prefect(monkeypatch, None)

    well = CliRunner().invoke(app, ["doctor", "--json"])
    Path(".dvc/tmp/rwlock").write_text("no JSON")
    ill = CliRunner().invoke(app, ["doctor"])

    assert (well.exit_code, json.loads(well.stdout)["healthy"]) == (0, True)
    assert (ill.exit_code, "rwlock" in ill.stdout) == (1, True)


def test_a_project_without_dvc_yet_is_told_what_makes_it_one(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (found,) = doctor._project(tmp_path)
    assert (found.state, found.detail) == (
        "warn",
        "not a DVC project yet; `goa init` or `goa run` makes it one",
    )


def test_a_full_disk_is_ill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in [(2**29, "fail"), (2**31, "warn"), (2**34, "ok")]:
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _, usage=usage: usage)
        (found,) = doctor._disk(tmp_path)
        assert found.state == state


def test_what_cannot_be_looked_at_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text("- no mapping\n")
    monkeypatch.setattr(doctor, "ask_prefect", lambda: iter(()))

    found = by_name(iter(doctor.examine(tmp_path)))
    assert found["mlflow store"].state == found["gpus"].state == found["project"].state == "fail"
    assert "expected a mapping" in found["mlflow store"].detail
