"""Verdicts in a terminal."""

import dataclasses
from typing import Any

import pytest
from rich.console import Console

from goa.errors import EvaluatorError
from goa.evaluation.ranks import ReferenceRanks
from goa.evaluation.readiness import Preflight, failed, judge
from goa.report.preflight import show_preflight
from tests.goa.evaluation.findings import FINDINGS as FINE
from tests.goa.evaluation.findings import probing

RANKS = ReferenceRanks(sources=64, tokens=1024, median=1.0, top_1=0.8, top_10=0.954)
FINDINGS = dataclasses.replace(
    FINE,
    signal=dataclasses.replace(FINE.signal, silent=0.25),
    probes={**FINE.probes, "empty": probing(None), "source": probing(0.9)},
)


def show(width: int = 80, **findings: Any) -> list[str]:
    found = dataclasses.replace(FINDINGS, **findings)
    preflight = Preflight(
        sources=20,
        ranks=RANKS,
        evaluators={
            "one": judge(found, drops=False),
            "broken": failed(EvaluatorError("evaluator broken: no such [model]")),
        },
    )
    console = Console(width=width)
    with console.capture() as capture:
        console.print(*show_preflight(preflight), sep="\n")
    return [line.rstrip() for line in capture.get().splitlines()]


def rows(lines: list[str], name: str) -> list[list[str]]:
    return [line.split() for line in lines if line.split()[:1] == [name]]


def test_rewards_and_probes_are_a_row_each() -> None:
    assert rows(show(), "one") == [
        ["one", "0.400", "0.600", "0.200", "0.100", "25%", "0", "1.00"],
        ["one", "0.400", "0.600", "1.000", "–", "0.900▲", "0.300"],
    ]


def test_the_verdicts_come_last_with_their_reasons() -> None:
    assert show(100)[-4:] == [
        "NO-GO one",
        "      ✗ prefers a copy of the source to what the policy writes: 0.900 against 0.400 "
        "(p = 0.001)",
        "NO-GO broken",
        "      ✗ it fails: evaluator broken: no such [model]",
    ]


def test_the_policys_ranks_are_said_in_a_sentence() -> None:
    (line,) = [line for line in show(200) if line.startswith("The policy's rank")]
    assert "median 1, first 80%, among the first ten 95% (1,024 tokens of 64 references)" in line


def test_a_first_call_that_takes_more_than_twice_as_long_is_told() -> None:
    assert not any("cold" in line for line in show())
    cold = dataclasses.replace(FINE.cost, cold_seconds=2.1)
    assert any(line.split() == ["cold", "2.10"] for line in show(cost=cold))


@pytest.mark.parametrize(
    ("price", "told"), [(0.001, ["<", "0.01"]), (2.5, ["2.50"]), (1234.5, ["1,234"])]
)
def test_a_price_is_a_column_of_its_own(price: float, told: list[str]) -> None:
    (row, _) = rows(show(cost=dataclasses.replace(FINE.cost, price=price)), "one")
    assert row[8:] == told


def test_a_reference_that_earns_less_is_marked() -> None:
    assert rows(show(reference=probing(0.3)), "one")[1][3] == "0.300▼"


def test_where_every_evaluator_failed_there_is_no_table() -> None:
    broken = failed(EvaluatorError("broken"))
    preflight = Preflight(sources=20, ranks=RANKS, evaluators={"one": broken})
    console = Console(width=80)
    with console.capture() as capture:
        console.print(*show_preflight(preflight), sep="\n")
    assert "mean" not in capture.get()
    assert "it fails: broken" in capture.get()
