"""What tests of several rooms share."""

import shutil
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from goa.data.corpus import Corpus, CorpusWriter
from goa.policies.build import build_model
from goa.policies.decoder_only import DecoderOnly
from goa.policies.encoder_decoder import EncoderDecoder
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.settings import ScratchPolicySettings
from goa.policies.tokenizer import train_tokenizer
from goa.records import Example
from goa.tracking.store import Store, connect, find_store
from tests.postgresql import NoServerError, Server, running_server

# How long a case takes is the machine's affair: beside other work one took longer than 200 ms.
settings.register_profile("goa", deadline=None)
settings.load_profile("goa")

SENTENCES = [
    "the red bird sings at night",
    "a small dog sleeps near the old door",
    "the dog sees a red door",
    "at night the old bird sleeps",
    "a bird and a dog sing",
]


def write_corpus(path: Path, examples: Iterable[Example]) -> Corpus:
    """Write examples to a file, and open it."""
    with CorpusWriter(path) as writer:
        for example in examples:
            writer.add(example)
    return Corpus.open(path)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Keep tensor arithmetic the same on every machine, and the other core free."""
    torch.set_num_threads(1)


@pytest.fixture
def make_policy() -> Callable[..., Policy]:
    """Build tiny policies with random weights, in evaluation mode."""

    def make(architecture: str = "marian", vocab_size: int = 60, dropout: float = 0.1) -> Policy:
        settings = ScratchPolicySettings(
            kind="scratch",
            architecture=architecture,  # type: ignore[arg-type]
            vocab_size=vocab_size,
            d_model=16,
            num_layers=2,
            num_heads=2,
            d_ff=32,
            dropout=dropout,
            max_positions=32,
        )
        tokenizer = train_tokenizer(iter(SENTENCES), settings)
        model = build_model(
            settings, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, seed=3
        )
        model.eval()
        if model.config.is_encoder_decoder:
            return EncoderDecoder(model, tokenizer)
        return DecoderOnly(model, tokenizer, PromptSettings(template="say {source} :"))

    return make


@pytest.fixture
def policy(make_policy: Callable[..., Policy]) -> Policy:
    """Give a tiny Marian-shaped policy."""
    return make_policy()


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """Let programs that tests start be interrupted, also where these tests run in the background.

    A shell has its background jobs ignore interrupts, and so would all that they start.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a tracking database whose slow migrations have been done once; copy it."""
    root = tmp_path_factory.mktemp("migrated")
    # Another experiment than the tests': the one they use must lie in their own folder.
    connect(find_store(root, "migrations"))
    return root / "mlflow.db"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """Serve a PostgreSQL without databases; where none is installed, skip."""
    try:
        with running_server() as server:
            yield server
    except NoServerError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def mlflow_in_postgresql(postgresql: Server) -> str:
    """Name a database of PostgreSQL whose slow migrations have been done."""
    uri = postgresql.new_database()
    connect(Store(uri=uri, experiment="migrations", artifacts=None))
    return uri


@pytest.fixture(params=["sqlite", "postgresql"])
def store_kind(request: pytest.FixtureRequest) -> str:
    """Name the databases that a store is tried on."""
    return str(request.param)


@pytest.fixture
def any_store(
    store_kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Store:
    """Give a store of each kind with an experiment of the test's own; a project may share it."""
    # All tests share one PostgreSQL database: a copy has a thousand files.
    experiment = f"test-{uuid.uuid4().hex[:12]}"
    if store_kind == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_database"), tmp_path / "mlflow.db")
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("mlflow_in_postgresql"))
        monkeypatch.chdir(tmp_path)  # where MLflow puts files, without a server that decides
    return find_store(tmp_path, experiment)
