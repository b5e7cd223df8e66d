"""Whatever is typed behind goa: it works, or one message says what is wrong, with exit code 2."""

import contextlib
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import strategies as st
from typer.testing import CliRunner

from goa.errors import printable
from pipelines.cli import app
from tests.fuzzing.bad_input import BYTES, TEXTS
from tests.fuzzing.cases import fuzz

PROJECT = Path(__file__).parents[2]
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
FILES = ["text.txt", "binary", "records.jsonl", "folder", "missing", "params.yaml", "folder/x", ""]
NAMES = ["bleu", "blue", "mle", "finetune", "finetune@bleu", "{kind: chrf}", "{kind: [", "{a: *b}"]
WORDS = st.one_of(
    TEXTS.filter(lambda text: "\0" not in text).map(lambda text: text.replace("\ud800", "")),
    st.sampled_from([*FILES, *NAMES]),
    st.integers(-2, 3).map(str),
)
DOCUMENTED = {"preflight": {1}, "doctor": {1}, "promote": {1, 3}, "run": {1}}
"""Exit codes besides 0 and 2, as --help has them."""


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Make up a call of one command: its own options with odd values, others, and arguments."""
    name = draw(st.sampled_from(sorted(COMMANDS)))
    words = [name]
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "argument":
            words += draw(st.lists(WORDS, max_size=2))
        elif parameter.required or draw(st.integers(0, 2)) == 0:
            option = draw(st.sampled_from([*parameter.opts, *parameter.secondary_opts]))
            words += [option] if parameter.is_flag else [option, draw(WORDS)]
    if draw(st.integers(0, 5)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(WORDS))
    return words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a file of each sort that a command may be pointed at."""
    root = tmp_path_factory.mktemp("here")
    (root / "folder").mkdir()
    (root / "text.txt").write_text("a red bird\n")
    (root / "binary").write_bytes(bytes(range(256)))
    (root / "records.jsonl").write_text('{"source": "a", "candidate": "b", "references": "b"}\n')
    return root


@pytest.fixture
def nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep servers, databases and other programs out: what is tried is what is typed."""
    monkeypatch.setattr("pipelines.project.prepare_project", lambda root: None)
    monkeypatch.setattr("pipelines.publish.initialise_store", lambda root: None)
    monkeypatch.setattr("pipelines.live.LivePublisher", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr("pipelines.serve.serve", lambda *_: None)
    monkeypatch.setattr("pipelines.doctor.examine", lambda root: [])
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    # goa sets this level before it imports MLflow, which another test may have done already.
    logging.getLogger("mlflow").setLevel(logging.WARNING)


def test_every_command_is_tried() -> None:
    assert {"run", "check", "score", "generate", "serve", "rollback"} <= set(COMMANDS)
    assert set(DOCUMENTED) <= set(COMMANDS)


@fuzz("the command line", 300, words=command_lines(), stdin=BYTES, with_params=st.booleans())
def test_whatever_is_typed_is_done_or_refused_in_words(
    words: list[str],
    stdin: bytes,
    with_params: bool,
    folder: Path,
    nothing_is_started: None,
) -> None:
    params = folder / "params.yaml"
    params.unlink(missing_ok=True)
    if with_params:
        shutil.copy(PROJECT / "params.yaml", params)
    with contextlib.chdir(folder):
        result = CliRunner().invoke(app, words, input=stdin)
    crash = result.exception
    assert crash is None or isinstance(crash, SystemExit), (words, crash)
    assert result.exit_code in {0, 2} | DOCUMENTED.get(words[0], set()), words
    if result.exit_code == 2:
        usage = result.stderr.startswith("Usage: ")  # repeats the words as they were typed
        assert usage or result.stderr.startswith("error: "), words
        assert usage or printable(result.stderr) == result.stderr, words
        assert len(result.stderr) < 20_000


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["check", b"--params", b"\xff\xfe"], b""),
        (["score", "-e", "{kind: [", "-c", "folder"], b"\xff"),
        pytest.param(["check", "--params", ""], b"", marks=pytest.mark.long),
        pytest.param(["check", "--params", "binary"], b"", marks=pytest.mark.long),
        pytest.param(["check", "--params", "x" * 5000], b"", marks=pytest.mark.long),
        pytest.param(["run", "--slots", "-1"], b"", marks=pytest.mark.long),
    ],
)
def test_the_program_itself_ends_so_too(
    words: list[str | bytes], stdin: bytes, folder: Path
) -> None:
    argv = [sys.executable, "-m", "pipelines.cli", *words]
    environment = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        argv, cwd=folder, input=stdin, capture_output=True, check=False, env=environment
    )
    assert done.returncode == 2, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stderr.startswith((b"error: ", b"Usage: "))
