"""What the best policy is chosen by, against one source at a time."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from goa.data.corpus import Corpus
from goa.decoding.generation import generate
from goa.decoding.settings import GreedySettings
from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator
from goa.policies.policy import Policy
from goa.records import Example, Sample, Scores
from goa.trainer.reward_validation import Look, RewardValidation
from goa.trainer.team import Team
from goa.trainer.validation import LikelihoodValidation, batches
from tests.conftest import SENTENCES, write_corpus
from tests.goa.trainer.conftest import Long

MAX_TOKENS = 7
EXAMPLES = [
    Example(id=f"valid-{row}", source=source, references=(reference, "a bird"))
    for row, (source, reference) in enumerate(pairwise([*SENTENCES, *SENTENCES[::2]]))
]
"""Seven."""
SEVERAL_LENGTHS = pytest.mark.parametrize("num_sources", [None, 4, 3, 1, 10**6])


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goa.trainer.validation.SOURCES_PER_BATCH", 2)


class Vowels(Evaluator):
    """The share of vowels, where a text has enough characters."""

    name = signature = "vowels"

    def __init__(self, least: int = 0) -> None:
        self.least = least

    def score(self, samples: Sequence[Sample]) -> Scores:
        return Scores(values=tuple(self.value(sample.candidate) for sample in samples))

    def value(self, text: str) -> float | None:
        share = sum(letter in "aeiou" for letter in text) / max(len(text), 1)
        return share if len(text) >= self.least else None


class Member(Team):
    """One of two processes; what the others gather is told."""

    def __init__(self, rank: int, others: Sequence[Any] = ()) -> None:
        super().__init__()
        self.rank, self.size, self.others = rank, 2, others
        self.gathered: list[Any] = []

    def totals(self, values: Sequence[float]) -> list[float]:
        return list(values)

    def gather(self, values: Sequence[Any]) -> list[Any]:
        self.gathered = [*self.others, *values]
        return self.gathered


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "valid.arrow", EXAMPLES)


def rewards(
    policy: Policy, corpus: Corpus, *evaluators: Evaluator, team: Team | None = None, **look: Any
) -> RewardValidation:
    named = {evaluator.name: evaluator for evaluator in evaluators or [Long()]}
    whole = {"num_sources": None, "max_tokens": MAX_TOKENS, **look}
    return RewardValidation(policy, named, corpus, Look(**whole), team)


def written_alone(policy: Policy, num_sources: int | None) -> tuple[list[str], list[int]]:
    """Write greedy outputs, source by source; give their texts and lengths in tokens."""
    texts, lengths = [], []
    for example in EXAMPLES[:num_sources]:
        sources = policy.tokenize_sources([example.source])
        strategy = GreedySettings(kind="greedy", max_tokens=MAX_TOKENS)
        found = generate(policy, sources, strategy, 0, [example.id])
        texts.append(found.texts[0][0])
        lengths.append(int(found.mask.sum()))
    return texts, lengths


@SEVERAL_LENGTHS
def test_likelihood_is_that_of_transformers_for_each_first_reference(
    policy: Policy, corpus: Corpus, num_sources: int | None
) -> None:
    loss, num_tokens = 0.0, 0
    for example in EXAMPLES[:num_sources]:
        source = policy.tokenize_sources([example.source])
        (labels,) = policy.target_ids([example.references[0]])
        with torch.no_grad():
            found = policy.model(input_ids=source.ids, labels=torch.tensor([labels])).loss
        loss += float(found) * len(labels)
        num_tokens += len(labels)
    validation = LikelihoodValidation(policy, corpus, num_sources)()
    assert validation.values == {"validation_loss": pytest.approx(loss / num_tokens, rel=1e-5)}
    assert validation.score == -validation.values["validation_loss"]


@SEVERAL_LENGTHS
def test_rewards_are_those_of_greedy_outputs_and_the_last_evaluator_decides(
    policy: Policy, corpus: Corpus, num_sources: int | None
) -> None:
    texts, lengths = written_alone(policy, num_sources)
    found = rewards(policy, corpus, Long(), Vowels(), num_sources=num_sources)()
    assert list(found.outputs) == texts
    vowels = [Vowels().value(text) or 0.0 for text in texts]
    assert found.values == pytest.approx(
        {
            "long": sum(min(1.0, len(text) / 80) for text in texts) / len(texts),
            "vowels": sum(vowels) / len(texts),
            "validation_length": sum(lengths) / len(texts),
        }
    )
    assert found.score == found.values["vowels"] != found.values["long"]


def test_outputs_without_a_score_are_left_out_where_they_may_be(
    policy: Policy, corpus: Corpus
) -> None:
    texts, _ = written_alone(policy, None)
    picky = Vowels(least=max(map(len, texts)))
    known = [value for value in map(picky.value, texts) if value is not None]
    assert 0 < len(known) < len(texts)
    found = rewards(policy, corpus, Long(), picky, drops=True)()
    assert found.score == pytest.approx(sum(known) / len(known))
    assert found.values["long"] == rewards(policy, corpus)().score
    with pytest.raises(EvaluatorError, match="vowels"):
        rewards(policy, corpus, Long(), picky)()


def test_a_split_of_which_no_output_has_a_score_is_told(policy: Policy, corpus: Corpus) -> None:
    with pytest.raises(EvaluatorError, match="not one output of the validation split has a rew"):
        rewards(policy, corpus, Long(), Vowels(least=10**6), drops=True)()


def test_batches_are_shared_out_among_a_team(corpus: Corpus) -> None:
    shares = [
        [[example.id for example in batch] for batch in batches(corpus, 5, Member(rank))]
        for rank in range(2)
    ]
    assert shares == [[["valid-0", "valid-1"], ["valid-4"]], [["valid-2", "valid-3"]]]


def test_outputs_of_a_team_stand_in_the_order_of_their_sources(
    policy: Policy, corpus: Corpus
) -> None:
    first = Member(0)  # has two batches, the second one has one
    rewards(policy, corpus, team=first, num_sources=5)()
    second = rewards(policy, corpus, team=Member(1, first.gathered), num_sources=5)()
    assert second.outputs == rewards(policy, corpus, num_sources=5)().outputs
