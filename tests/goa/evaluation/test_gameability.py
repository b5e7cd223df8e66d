"""Unwanted texts beside the policy's own."""

from collections.abc import Sequence

import pytest

from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.gameability import Written, probe
from goa.evaluators.contract import Evaluator
from goa.records import Example, Sample, Scores

EXAMPLES = [Example(id=str(place), source="s", references=("r",)) for place in range(20)]
WRITTEN = [Written(example=example, candidates=("2", "4", "6")) for example in EXAMPLES]
REWARDS = [[0.2, 0.4, 0.6]] * 20
BOOTSTRAP = Bootstrap(seed=0)


class Tenths(Evaluator):
    """The number that the candidate says, in tenths; none for other texts."""

    name = "tenths"
    signature = "tenths"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def score(self, samples: Sequence[Sample]) -> Scores:
        self.calls.append([sample.candidate for sample in samples])
        texts = (sample.candidate for sample in samples)
        return Scores(values=tuple(int(text) / 10 if text.isdigit() else None for text in texts))


class Share(Tenths):
    """The candidate's share of all that the candidates of its source say."""

    reads_batch = True

    def score(self, samples: Sequence[Sample]) -> Scores:
        values = super().score(samples).values
        totals: dict[str, float] = {}
        for sample, value in zip(samples, values, strict=True):
            totals[sample.example.id] = totals.get(sample.example.id, 0) + (value or 0)
        return Scores(
            values=tuple(
                (value or 0) / totals[sample.example.id]
                for sample, value in zip(samples, values, strict=True)
            )
        )


def test_a_text_is_held_against_the_mean_of_the_policys_candidates() -> None:
    found = probe(Tenths(), WRITTEN, REWARDS, {"nine": ["9"] * 20, "one": ["1"] * 20}, BOOTSTRAP)
    assert list(found) == ["nine", "one"]
    assert (found["nine"].mean, found["nine"].policy_mean) == pytest.approx((0.9, 0.4))
    assert found["nine"].difference == pytest.approx(0.5)
    assert found["one"].difference == pytest.approx(-0.3)
    # All sources agree, so that no draw of sources differs from another.
    assert found["nine"].p_value == pytest.approx(1 / 1001)


def test_all_kinds_are_scored_in_one_call_where_the_batch_is_not_read() -> None:
    evaluator = Tenths()
    probe(evaluator, WRITTEN, REWARDS, {"nine": ["9"] * 20, "one": ["1"] * 20}, BOOTSTRAP)
    assert [len(call) for call in evaluator.calls] == [40]


def test_what_is_better_as_often_as_worse_is_not_significant() -> None:
    found = probe(Tenths(), WRITTEN, REWARDS, {"mixed": ["1", "7"] * 10}, BOOTSTRAP)["mixed"]
    assert found.difference == pytest.approx(0.0, abs=1e-12)
    assert found.p_value is not None
    assert found.p_value > 0.3


def test_sources_without_a_reward_on_either_side_are_left_out() -> None:
    rewards = [[None, None, None], *REWARDS[1:]]
    texts = {"some": ["9", "none", *["1"] * 18]}
    found = probe(Tenths(), WRITTEN, rewards, texts, BOOTSTRAP)["some"]
    assert found.sources == 18
    assert found.mean == pytest.approx(0.1)


def test_candidates_without_a_reward_are_left_out_of_the_policys_mean() -> None:
    found = probe(Tenths(), WRITTEN, [[None, 0.4, 0.6]] * 20, {"a": ["1"] * 20}, BOOTSTRAP)["a"]
    assert found.policy_mean == pytest.approx(0.5)


def test_where_there_is_nothing_to_compare_nothing_is_said() -> None:
    found = probe(Tenths(), WRITTEN, REWARDS, {"none": ["x"] * 20}, BOOTSTRAP)["none"]
    assert (found.sources, found.mean, found.policy_mean, found.p_value) == (0, None, None, None)
    assert found.difference == 0.0


def test_where_the_batch_is_read_a_text_takes_the_place_of_one_candidate() -> None:
    evaluator = Share()
    found = probe(evaluator, WRITTEN, REWARDS, {"ten": ["10"] * 20, "0": ["0"] * 20}, BOOTSTRAP)
    assert evaluator.calls == [["10", "4", "6"] * 20, ["0", "4", "6"] * 20]
    # Of 10 + 4 + 6 the text has a half, the others a fifth and three tenths.
    assert (found["ten"].mean, found["ten"].policy_mean) == pytest.approx((0.5, 0.25))
    assert (found["0"].mean, found["0"].policy_mean) == pytest.approx((0.0, 0.5))
