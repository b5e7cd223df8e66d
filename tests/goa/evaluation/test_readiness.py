"""Verdicts on evaluators."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from goa.errors import EvaluatorError
from goa.evaluation.gameability import Probing
from goa.evaluation.ranks import describe_ranks
from goa.evaluation.readiness import Cost, Preflight, Readiness, beats_policy, failed, judge
from tests.goa.evaluation.findings import FINDINGS, SIGNAL, probing


def verdict(drops: bool = False, signal: dict[str, Any] | None = None, **changes: Any) -> Readiness:
    changed = dataclasses.replace(SIGNAL, **(signal or {}))
    return judge(dataclasses.replace(FINDINGS, signal=changed, **changes), drops=drops)


def probes(**changes: Probing) -> dict[str, Probing]:
    return {**FINDINGS.probes, **changes}


def test_an_evaluator_with_nothing_against_it_is_a_go() -> None:
    assert verdict() == Readiness(go=True, reasons=(), warnings=(), findings=FINDINGS)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"signal": {"silent": 0.91}}, "no signal: the candidates of 91% of the sources"),
        ({"signal": {"headroom": 9e-7}}, "no signal: the best of 8 candidates earns what the mean"),
        ({"signal": {"mean": None}}, "none of 160 candidates has a reward"),
        ({"signal": {"without_reward": 3}}, "no reward for 3 of 160 candidates: fine-tuning would"),
        ({"largest_difference": 2e-6}, "not deterministic: equal samples differ by up to 2e-06"),
        (
            {"probes": probes(empty=probing(0.401, 0.049))},
            "prefers the empty text to what the policy writes: 0.401 against 0.400 (p = 0.049)",
        ),
    ],
)
def test_what_speaks_against_an_evaluator(changes: dict[str, Any], reason: str) -> None:
    found = verdict(**changes)
    assert not found.go
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(reason)


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"signal": {"silent": 0.51}}, "the candidates of 51% of the sources all earn the same"),
        ({"signal": {"silent": 0.9}}, "the candidates of 90% of the sources all earn the same"),
        ({"signal": {"headroom": 0.009}}, "little to gain: the best of 8 earns 0.0090 more"),
        ({"reference": probing(0.39)}, "the reference earns less than what the policy writes"),
        (
            {"cost": Cost(rewards=1, seconds=61.0, cold_seconds=61.0, price=None)},
            "slow: 61 s for 1,000 rewards",
        ),
        (
            {"probes": probes(source=probing(0.36))},
            "a copy of the source earns 0.360, the policy's median candidate 0.350",
        ),
        (
            {"probes": probes(source=probing(0.6, p_value=0.05))},
            "a copy of the source earns 0.600, the policy's greedy candidate 0.500",
        ),
        (
            {"probes": probes(shuffled=probing(0.9))},
            "word order counts for little: prefers the reference's words in any order to what",
        ),
        (
            {"signal": {"without_reward": 3}, "drops": True},
            "no reward for 3 of 160 candidates: their sources are left out",
        ),
    ],
)
def test_what_is_only_worth_a_warning(changes: dict[str, Any], warning: str) -> None:
    found = verdict(**changes)
    assert found.go
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith(warning)


def test_an_evaluator_that_says_that_it_draws_may_differ() -> None:
    assert verdict(draws=True, largest_difference=0.5).go


def test_a_probe_that_is_better_by_rounding_alone_is_not_preferred() -> None:
    assert not beats_policy(probing(0.4 + 1e-7))
    assert beats_policy(probing(0.4 + 1e-5))
    assert not beats_policy(probing(None, None))


def test_a_few_sources_prove_nothing() -> None:
    assert beats_policy(dataclasses.replace(probing(0.9), sources=10))
    assert not beats_policy(dataclasses.replace(probing(0.9), sources=9))


def test_an_evaluator_that_fails_is_a_no_go() -> None:
    found = failed(EvaluatorError("evaluator x: broken"))
    assert (found.go, found.reasons) == (False, ("it fails: evaluator x: broken",))


def test_one_no_go_makes_the_whole_a_no_go() -> None:
    ranks = describe_ranks(1, np.ones(4, dtype=np.int64))
    good, bad = verdict(), failed(EvaluatorError("broken"))
    assert Preflight(sources=1, ranks=ranks, evaluators={"a": good}).go
    assert not Preflight(sources=1, ranks=ranks, evaluators={"a": good, "b": bad}).go
