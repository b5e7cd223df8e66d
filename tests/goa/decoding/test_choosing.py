"""Choosing among candidates: truth by hand, then laws."""

import math
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch

from goa.decoding.choosing import choose, expected_utilities, preferences
from goa.decoding.generation import Candidates
from goa.decoding.settings import (
    BeamSettings,
    BestOfSettings,
    ChoosingSettings,
    MbrSettings,
    SampleSettings,
)
from goa.records import Example, Sample

BEST = BestOfSettings(kind="best_of", evaluator="x")
MBR = MbrSettings(kind="mbr", evaluator="x")
UTILITIES = {
    ("a", "b"): 0.5,
    ("a", "c"): 0.2,
    ("b", "a"): 0.1,
    ("b", "c"): 0.9,
    ("c", "a"): 0.3,
    ("c", "b"): 0.6,
    ("c", "c"): 0.8,
}


class Judge:
    """Looks scores up by (candidate, reference), and remembers what it was asked."""

    def __init__(self, table: Mapping[tuple[str, str], float | None]) -> None:
        self.table = table
        self.asked: list[Sample] = []
        self.calls = 0

    def __call__(self, samples: Sequence[Sample]) -> list[float | None]:
        self.asked += samples
        self.calls += 1
        return [self.table[each.candidate, each.example.references[0]] for each in samples]


def by_text(scores: Mapping[str, float | None]) -> Judge:
    """Judge candidates alone."""
    return Judge({(text, ""): score for text, score in scores.items()})


def make_examples(count: int) -> list[Example]:
    return [Example(id=str(n), source=f"s{n}", references=("wanted",)) for n in range(count)]


def pick(
    rows: Sequence[str],
    strategy: ChoosingSettings,
    judge: Callable[[Sequence[Sample]], list[float | None]],
    log_probs: Sequence[Sequence[float]] | None = None,
) -> list[str]:
    """Choose among candidates of one letter; each has two tokens, which share its log-prob."""
    values = torch.tensor(log_probs or [[0.0] * len(row) for row in rows])
    tokens = torch.zeros((*values.shape, 2), dtype=torch.long)
    candidates = Candidates(
        tokens=tokens,
        mask=tokens == 0,
        log_probs=(values / 2).unsqueeze(-1).expand(tokens.shape),
        texts=tuple(map(tuple, rows)),
    )
    chosen = choose(candidates, make_examples(len(rows)), strategy, judge)
    return [row[place] for row, place in zip(rows, chosen, strict=True)]


def test_minimum_bayes_risk_takes_the_highest_mean_over_the_others() -> None:
    (values,) = expected_utilities(make_examples(1), ["abc"], Judge(UTILITIES))
    assert values == pytest.approx([0.35, 0.5, 0.45])
    assert pick(["abc"], MBR, Judge(UTILITIES)) == ["b"]


def test_a_text_that_was_drawn_twice_counts_twice_and_is_scored_once() -> None:
    judge = Judge(UTILITIES)
    (values,) = expected_utilities(make_examples(1), ["acbc"], judge)
    a, b, c = (0.5 + 2 * 0.2) / 3, (0.1 + 2 * 0.9) / 3, (0.3 + 0.6 + 0.8) / 3
    assert values == pytest.approx([a, c, b, c])
    pairs = [(each.candidate, each.example.references[0]) for each in judge.asked]
    assert sorted(pairs) == sorted(UTILITIES)


def test_a_reference_that_the_utility_does_not_apply_to_is_left_out() -> None:
    table = {**UTILITIES, ("a", "c"): None, ("b", "a"): None, ("b", "c"): None}
    (values,) = expected_utilities(make_examples(1), ["abc"], Judge(table))
    assert values == [0.5, None, pytest.approx(0.45)]
    assert pick(["bca"], MBR, Judge(table)) == ["a"]


def test_draws_that_are_all_alike_are_one_answer() -> None:
    assert pick(["cccc"], MBR, Judge(UTILITIES)) == ["c"]


def test_the_best_of_n_has_the_highest_score() -> None:
    scores = {"a": 0.2, "b": 0.9, "c": 0.4, "d": 0.1}
    assert pick(["acd", "dab"], BEST, by_text(scores)) == ["c", "b"]


@pytest.mark.parametrize("strategy", [BEST, MBR])
def test_of_equally_good_candidates_the_first_is_taken(strategy: ChoosingSettings) -> None:
    judge = Judge({(one, other): 0.5 for one in "ab" for other in ("a", "b", "")})
    assert pick(["ba", "ab"], strategy, judge, [[-5.0, -1.0]] * 2) == ["b", "a"]


def test_candidates_without_a_score_come_last() -> None:
    assert pick(["ab"], BEST, by_text({"a": None, "b": 0.0})) == ["b"]
    assert pick(["ab"], BEST, by_text({"a": None, "b": None})) == ["a"]


def test_the_policy_s_log_prob_is_weighed_against_the_log_odds() -> None:
    scores = {"a": 1 / (1 + math.exp(-3.0)), "b": 0.5}  # log-odds 3 and 0
    log_probs = [[-9.0, -5.0]]
    for weight, wanted in [(0.0, "a"), (0.7, "a"), (0.8, "b"), (1.0, "b")]:
        strategy = BestOfSettings(kind="best_of", evaluator="x", log_prob_weight=weight)
        assert pick(["ab"], strategy, by_text(scores), log_probs) == [wanted]
    (values,) = preferences(make_examples(1), ["ab"], by_text(scores), log_probs, 1.0)
    assert values == pytest.approx([3.0 - 9.0, -5.0])


def test_certain_scores_have_log_odds_too() -> None:
    judge, log_probs = by_text({"a": 1.0, "b": 1.0, "c": 0.0, "d": None}), [[-9.0, -5.0, -1.0, 0.0]]
    (values,) = preferences(make_examples(1), ["abcd"], judge, log_probs, 1.0)
    bound = math.log(1e9)
    assert values[:3] == pytest.approx([bound - 9.0, bound - 5.0, -bound - 1.0])
    assert values[3] is None


@pytest.mark.parametrize("strategy", [BEST, MBR])
def test_the_judge_is_asked_once_and_never_sees_the_references(strategy: ChoosingSettings) -> None:
    judge = Judge({(one, other): 0.5 for one in "abc" for other in ("a", "b", "c", "")})
    pick(["abc", "cab"], strategy, judge)
    assert judge.calls == 1
    assert {each.example.source for each in judge.asked} == {"s0", "s1"}
    assert not any("wanted" in each.example.references for each in judge.asked)


@pytest.mark.parametrize(("kind", "model"), [("best_of", BestOfSettings), ("mbr", MbrSettings)])
def test_what_is_drawn_is_a_sample_of_the_same_settings(
    kind: str, model: type[ChoosingSettings]
) -> None:
    settings = {"num_candidates": 5, "temperature": 0.7, "top_k": 9, "top_p": 0.8, "max_tokens": 3}
    settings |= {"min_p": 0.1, "epsilon": 0.01, "no_repeat_ngram": 2, "max_source_ratio": 1.5}
    strategy = model(kind=kind, evaluator="x", **settings)
    assert strategy.drawn == SampleSettings(kind="sample", **settings)


def test_what_is_chosen_among_is_described_once() -> None:
    beam = {"kind": "beam", "num_beams": 4, "num_candidates": 4}
    shared = {"kind": "best_of", "evaluator": "x"}
    strategy = BestOfSettings.model_validate({**shared, "write": beam})
    assert strategy.drawn == BeamSettings.model_validate(beam)
    assert BestOfSettings.model_validate(strategy.model_dump()) == strategy
    with pytest.raises(ValueError, match="temperature stands beside write"):
        BestOfSettings.model_validate({**shared, "write": beam, "temperature": 0.5})
    with pytest.raises(ValueError, match="leaves nothing to choose"):
        BestOfSettings.model_validate({**shared, "write": {"kind": "greedy"}})
