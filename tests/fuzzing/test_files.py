"""Whatever stands in a file that goa reads back: it is taken, or refused in words."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st

from goa.checkpoints import STATE, TENSORS, Checkpoints
from goa.data.corpus import Corpus, CorpusWriter
from goa.data.pool import Candidate, Reward, read_pool, read_rewards, write_pool, write_rewards
from goa.evaluation.alarms import load_alarms, save_alarms
from goa.evaluation.storage import load_evaluation, save_evaluation
from goa.evaluators.store import RewardStore, Stored
from goa.policies.build import build_model
from goa.policies.decoder_only import DecoderOnly
from goa.policies.prompt import PromptSettings
from goa.policies.settings import ScratchPolicySettings
from goa.policies.storage import PROMPT_FILE, load_policy, save_policy
from goa.policies.tokenizer import train_tokenizer
from goa.records import Example, Sample
from goa.report.comparing import compare
from goa.report.comparison import load_comparison, save_comparison
from goa.report.entrants import group_by_arm
from goa.report.settings import CompareSettings
from goa.tracking.cost import Work, load_cost, save_cost
from goa.tracking.spool import read_spool
from tests.comparisons import (
    NUM_EXAMPLES,
    fill,
    make_alarm,
    make_evaluation,
    make_evaluations,
    outputs_with,
)
from tests.costs import make_cost
from tests.fuzzing.bad_input import BYTES, JSON_VALUES, mutated
from tests.fuzzing.cases import fuzz, refusal

EXAMPLE = Example(id="1", source="a b", references=("c", "d"))
SAMPLES = [Sample(example=EXAMPLE, candidate=text) for text in ("x", "y")]


@dataclass(frozen=True)
class Kept:
    """A good file, and what reads it."""

    path: Path
    content: bytes
    read: Callable[[], object]


def kept(path: Path, read: Callable[[], object]) -> Kept:
    read()  # the good file is good
    return Kept(path, path.read_bytes(), read)


def a_checkpoint(folder: Path, name: str) -> Kept:
    def read() -> object:
        if name == TENSORS:  # damage that the checksum does not see
            digest = hashlib.sha256((step / TENSORS).read_bytes()).hexdigest()
            record = {"sha256": digest, "step": 1, "state": {}}
            (step / STATE).write_text(json.dumps(record))
        with Checkpoints(folder, {"code": "1"}) as checkpoints:
            return checkpoints.latest()

    step = folder / f"{1:09d}"
    with Checkpoints(folder, {"code": "1"}) as checkpoints:
        checkpoints.save(1, {"weight": torch.ones(3)}, {"best": 0.5})
    return kept(step / name, read)


def a_pool(folder: Path) -> Kept:
    path = folder / "pool.parquet"
    written = {"text": "t", "token_ids": (1, 2), "token_log_probs": (-0.5, -0.5)}
    common: Any = {"strategy": "s", "log_prob": -1.0, "length": 2, **written}
    write_pool(path, [Candidate(example_id="1", rank=rank, **common) for rank in range(3)])
    return kept(path, lambda: list(read_pool(path)))


def rewards(folder: Path) -> Kept:
    path = folder / "rewards.parquet"
    given: Any = {"strategy": "s", "reward": 0.5, "parts": {"part": None}}
    write_rewards(path, [Reward(example_id="1", rank=rank, **given) for rank in range(3)])
    return kept(path, lambda: list(read_rewards(path)))


def a_corpus(folder: Path) -> Kept:
    def read() -> object:
        corpus = Corpus.open(path)
        return [corpus[place] for place in range(len(corpus))] + list(corpus)

    path = folder / "train.arrow"
    with CorpusWriter(path) as writer:
        writer.add(EXAMPLE)
    return kept(path, read)


def a_store(folder: Path) -> Kept:
    def read() -> object:
        for beside in folder.glob("*.sqlite-*"):
            beside.unlink()
        store = RewardStore(folder, "signature")
        try:
            store.add(["part"], [(SAMPLES[1], Stored(0.5, (None,)))])
            return store.find(SAMPLES), store.part_names
        finally:
            store.close()

    store = RewardStore(folder, "signature")
    store.add(["part"], [(SAMPLES[0], Stored(0.5, (0.5,)))])
    store.close()
    return kept(store.path, read)


def an_evaluation(folder: Path, name: str) -> Kept:
    outputs = {"greedy": outputs_with([0.5] * NUM_EXAMPLES)}
    save_evaluation(folder, make_evaluation("mle", outputs))
    return kept(folder / name, lambda: load_evaluation(folder))


def a_comparison(folder: Path) -> Kept:
    path = folder / "comparison.json"
    settings = CompareSettings(resamples=20, num_examples=2)
    save_comparison(path, fill(compare(group_by_arm(make_evaluations()), settings, seed=3)))
    return kept(path, lambda: load_comparison(path))


def alarms(folder: Path) -> Kept:
    path = folder / "alarms.json"
    save_alarms(path, [make_alarm()])
    return kept(path, lambda: load_alarms(path))


def a_cost(folder: Path) -> Kept:
    path = folder / "cost.json"
    save_cost(path, make_cost(work={"training": Work(seconds=1.0, sentences=2, tokens=3)}))
    return kept(path, lambda: load_cost(path))


def a_spool(folder: Path) -> Kept:
    path = folder / "spool.jsonl"
    path.write_bytes(b'{"time": 1, "kind": "metrics", "step": 1, "values": {"loss": 0.5}}\n')
    return kept(path, lambda: read_spool(path))


MAKERS: dict[str, Callable[[Path], Kept]] = {
    "state of a checkpoint": lambda folder: a_checkpoint(folder, STATE),
    "tensors of a checkpoint": lambda folder: a_checkpoint(folder, TENSORS),
    "candidate pool": a_pool,
    "rewards": rewards,
    "corpus": a_corpus,
    "store of scores": a_store,
    "evaluation": lambda folder: an_evaluation(folder, "evaluation.json"),
    "outputs": lambda folder: an_evaluation(folder, "outputs.jsonl"),
    "statistics": lambda folder: an_evaluation(folder, "statistics.npz"),
    "comparison": a_comparison,
    "cost": a_cost,
    "alarms": alarms,
    "spool": a_spool,
}


@pytest.fixture(scope="module", params=list(MAKERS))
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Give a good file of each kind."""
    return MAKERS[request.param](tmp_path_factory.mktemp("kept"))


def refused_in_words(file: Kept, content: bytes) -> None:
    file.path.unlink()  # a file that is mapped into memory must not change
    file.path.write_bytes(content)
    message = refusal(file.read)
    assert message is None or 0 < len(message) < 2000


@fuzz("files read back: spoilt", 60, data=st.data())
def test_a_spoilt_file_is_refused_in_words(data: st.DataObject, file: Kept) -> None:
    refused_in_words(file, data.draw(mutated(file.content)))


@fuzz("files read back: anything", 20, content=BYTES | JSON_VALUES.map(json.dumps).map(str.encode))
def test_anything_in_place_of_a_file_is_refused_in_words(content: bytes, file: Kept) -> None:
    refused_in_words(file, content)


@fuzz("policies' folders", 15, data=st.data())
def test_a_spoilt_folder_of_a_policy_is_refused_in_words(
    data: st.DataObject, saved_policy: dict[Path, bytes]
) -> None:
    path = data.draw(st.sampled_from(sorted(saved_policy)))
    damage = mutated(saved_policy[path]) | BYTES
    path.write_bytes(data.draw(damage))
    message = refusal(lambda: load_policy(path.parent, torch.device("cpu")))
    path.write_bytes(saved_policy[path])
    assert message is None or str(path.parent) in message


@pytest.fixture(scope="module")
def saved_policy(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, bytes]:
    """Save a tiny decoder-only policy; give its files."""
    folder = tmp_path_factory.mktemp("policy")
    settings = ScratchPolicySettings(
        kind="scratch",
        architecture="llama",
        vocab_size=30,
        d_model=8,
        num_layers=1,
        num_heads=1,
        d_ff=8,
        max_positions=16,
    )
    tokenizer = train_tokenizer(iter(["a red bird", "a dog"]), settings)
    model = build_model(settings, len(tokenizer), tokenizer.pad_token_id, 1, seed=1)
    save_policy(DecoderOnly(model, tokenizer, PromptSettings()), folder)
    assert (folder / PROMPT_FILE).exists()
    return {path: path.read_bytes() for path in folder.iterdir()}
