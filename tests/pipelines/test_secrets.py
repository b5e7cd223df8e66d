"""Secrets that a run is given are in nothing that it writes or says."""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from goa.errors import TrackingError
from pipelines.project import dvc
from pipelines.publish import publish
from tests.pipelines.recorded import Project
from tests.test_end_to_end import change_params, make_project, run

SECRETS = {
    name: f"s3cr3t-{place}"
    for place, name in enumerate(
        [
            "AWS_SECRET_ACCESS_KEY",
            "HF_TOKEN",
            "JUDGE_TOKEN",
            "MLFLOW_TRACKING_PASSWORD",
            "PGPASSWORD",
            "PREFECT_API_KEY",
        ]
    )
}
REMOTE = "s3cr3t-of-the-remote"


@pytest.fixture(autouse=True)
def _plant(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def add_remote(root: Path) -> Path:
    """Give a project a remote with a password; say in which file that stands."""
    dvc(root, "remote", "add", "--local", "--default", "far", "https://127.0.0.1:1/dvc")
    dvc(root, "remote", "modify", "--local", "far", "user", "me")
    dvc(root, "remote", "modify", "--local", "far", "password", REMOTE)
    return root / ".dvc" / "config.local"


def files_with_a_secret(root: Path, told: Iterable[Path] = ()) -> set[Path]:
    """Find the files under a folder that have a planted secret in them."""
    return {
        path for path in root.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()
    } - {*told}


def test_a_planted_secret_is_found(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "log").write_text(f"key={SECRETS['HF_TOKEN']}")
    (tmp_path / "other").write_text("key")
    assert files_with_a_secret(tmp_path) == {tmp_path / "in" / "log"}


def test_nothing_that_is_recorded_in_mlflow_has_a_secret(project: Project) -> None:
    config = add_remote(project.root)
    assert files_with_a_secret(project.root) == {config}
    project.spool().event("gpus", names=[])
    publish(project.root)
    assert (project.root / "mlartifacts").exists()
    assert files_with_a_secret(project.root, [config]) == set()


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:s3cr3t@127.0.0.1:1",
        "postgresql+psycopg://me:s3cr3t@127.0.0.1:1/x",
        "postgresql+psycopg://127.0.0.1:1/x?user=me&password=s3cr3t",
    ],
)
def test_a_store_that_does_not_answer_is_told_of_without_its_password(
    project: Project, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(TrackingError, match="cannot be used") as told:
        publish(project.root)
    assert "s3cr3t" not in f"{told.value} {told.value.__cause__!r}"
    assert files_with_a_secret(project.root) == set()


@contextmanager
def judge() -> Iterator[tuple[str, list[str]]]:
    """Serve rewards to whoever has the token; gives the address, and what was presented."""
    presented: list[str] = []

    class Judge(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            presented.append(self.headers.get("Authorization", ""))
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            values = [len(each["candidate"]) % 7 / 7 for each in asked["samples"]]
            body = json.dumps({"values": values}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Judge) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", presented
        server.shutdown()


@pytest.mark.long
def test_a_whole_run_writes_and_says_no_secret(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    assert run(root, "dvc", "init", "--no-scm", "--quiet").returncode == 0
    config = add_remote(root)
    with judge() as (url, presented):
        asked = {"kind": "http", "url": url, "token_variable": "JUDGE_TOKEN"}
        change_params(root, {"evaluators": {"judge": asked}})
        done = [
            run(root, "goa", *words) for words in (["run"], ["doctor"], ["status"], ["publish"])
        ]
    assert [each.returncode for each in done[2:]] == [0, 0], done
    assert (root / "out/comparison/report.html").exists(), done[0].stdout + done[0].stderr
    assert {*presented} == {f"Bearer {SECRETS['JUDGE_TOKEN']}"}
    assert "s3cr3t" not in "".join(each.stdout + each.stderr for each in done)
    pushed = run(root, "dvc", "push")
    assert pushed.returncode != 0  # nobody is there
    assert REMOTE not in pushed.stdout + pushed.stderr
    assert files_with_a_secret(root, [config]) == set()
