"""A small DVC project that behaves as told, for tests that run stages for real."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from goa.data.corpus import split_path
from goa.data.pool import Candidate, write_pool
from goa.policies.policy import Policy
from goa.policies.storage import save_policy
from goa.records import Example
from tests.conftest import SENTENCES, write_corpus
from tests.pipelines.recorded import Project, make_project

TOY = Path(__file__).parent / "toy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy:
    """prepare -> train@a, train@b -> compare."""

    root: Path
    """The project's folder."""

    def dvc(self, *arguments: str) -> str:
        """Run DVC's own command line."""
        argv = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(argv, cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout

    def lock(self) -> Any:
        """Read dvc.lock; as a mapping, so the order of entries does not matter."""
        return yaml.safe_load((self.root / "dvc.lock").read_text())

    def change(self, key: str, value: Any) -> None:
        """Change a parameter."""
        path = self.root / "params.yaml"
        content = yaml.safe_load(path.read_text())
        *sections, last = key.split(".")
        inner = content
        for section in sections:
            inner = inner[section]
        inner[last] = value
        path.write_text(yaml.safe_dump(content))

    def tell(self, stage: str, what: str) -> None:
        """Make a stage misbehave in a way that DVC does not see: see toy/work.py."""
        path = self.root / "control" / stage
        path.parent.mkdir(exist_ok=True)
        path.write_text(what)

    def events(self) -> list[tuple[str, str]]:
        """List (stage, event) in the order in which they happened."""
        path = self.root / "events"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(line.split()[0], line.split()[1]) for line in lines]

    def ran(self) -> set[str]:
        """Name the stages whose command came to its end."""
        return {stage for stage, event in self.events() if event == "end"}


def alive(process: int) -> bool:
    """Say whether a process still runs; it may go while it is looked at."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture(autouse=True)
def _quiet_dvc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    # `python` in dvc.yaml: this one, also where a test calls DVC itself.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "dvc-site"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def store_kind(request: pytest.FixtureRequest) -> str:
    """Name the databases again: what a database does differently, tests of goa.tracking see."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _own_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the locks of this test's GPUs apart from the host's, which tests beside it may hold."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture(scope="session", name="fresh_toys")
def _make_toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for kind, options in {"git": [], "no-scm": ["--no-scm"]}.items():
        root = tmp_path_factory.mktemp(f"toy-{kind}")
        shutil.copytree(TOY, root, dirs_exist_ok=True)
        # Under its real name it would be a part of the pipeline of the project around it.
        (root / "pipeline.yaml").rename(root / "dvc.yaml")
        if kind == "git":
            subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
        argv = [sys.executable, "-m", "dvc", "init", "--quiet", *options]
        subprocess.run(argv, cwd=root, check=True)
        made[kind] = root
    return made


@pytest.fixture(scope="session")
def finished_toy(fresh_toys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a toy project once for all tests that want a finished one."""
    root = shutil.copytree(fresh_toys["no-scm"], tmp_path_factory.mktemp("toy-done") / "toy")
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--quiet"], cwd=root, check=True)
    (root / "events").unlink()
    return root


@pytest.fixture
def toy(fresh_toys: dict[str, Path], tmp_path: Path) -> Toy:
    """Give a project without git."""
    return Toy(root=shutil.copytree(fresh_toys["no-scm"], tmp_path / "toy"))


@pytest.fixture
def git_toy(fresh_toys: dict[str, Path], tmp_path: Path) -> Toy:
    """Give a project in a git repository."""
    return Toy(root=shutil.copytree(fresh_toys["git"], tmp_path / "toy"))


@pytest.fixture
def committed_toy(git_toy: Toy) -> Toy:
    """Give a project whose files are committed on the branch main."""
    traces = ["/events", "/gpus", "/control/", "*.pids"]
    ignored = ["/out/", "/.goa/", "/mlflow.db*", "/mlartifacts/", "/prefect.db*", *traces]
    (git_toy.root / ".gitignore").write_text("\n".join(ignored))
    for arguments in (
        ("checkout", "--quiet", "-B", "main"),
        ("add", "--all"),
        ("-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "toy"),
    ):
        subprocess.run(["git", *arguments], cwd=git_toy.root, check=True)
    return git_toy


@pytest.fixture
def done_toy(finished_toy: Path, tmp_path: Path) -> Toy:
    """Give a project without git that is up to date."""
    return Toy(root=shutil.copytree(finished_toy, tmp_path / "toy"))


SETTINGS = """
seed: 3
compute: {threads: {finetune: 1}}
generate:
  strategies:
    greedy: {kind: greedy}
    sample: {kind: sample, num_candidates: 4}
scoring: {store: true}
evaluators:
  bleu: {kind: bleu}
  constant: {kind: format, pattern: ".*"}
  length: {kind: length, tolerance: 0.1}
"""


@pytest.fixture
def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Policy) -> Path:
    """Stand in a project whose pool has been generated: one word less of the reference a rank."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(SETTINGS)
    Path("out/data").mkdir(parents=True)
    examples = [
        Example(id=str(place), source=SENTENCES[place % 5], references=(SENTENCES[place % 4],))
        for place in range(20)
    ]
    write_corpus(split_path(Path("out/data"), "train"), examples)
    save_policy(policy, Path("out/policies/mle"))
    write_pool(Path("out/pool.parquet"), _degrade(examples))
    return tmp_path


def _degrade(examples: list[Example]) -> Iterator[Candidate]:
    for example in examples:
        words = example.references[0].split()
        for strategy, ranks in {"greedy": range(1), "sample": range(4)}.items():
            for rank in ranks:
                yield Candidate(
                    example_id=example.id,
                    strategy=strategy,
                    rank=rank,
                    text=" ".join(words[: len(words) - 1 - rank]),
                    token_ids=(1,),
                    token_log_probs=(-1.0,),
                    log_prob=-1.0,
                    length=1,
                )


@pytest.fixture
def project(tmp_path: Path, policy: Policy, migrated_database: Path) -> Project:
    """Make a project that is up to date and has never been published."""
    return make_project(tmp_path / "project", policy, migrated_database)
