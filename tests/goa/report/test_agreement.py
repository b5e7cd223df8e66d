"""Rescored candidates in a terminal."""

from rich.console import Console, RenderableType

from goa.evaluation.agreement import Agreement
from goa.report.agreement import agreement_table, summary_table


def rows(table: RenderableType) -> list[list[str]]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    return [line.split() for line in capture.get().splitlines()]


def test_a_strategy_is_a_row_and_what_it_has_not_is_a_dash() -> None:
    greedy = {"candidates": 2000, "without_reward": 0, "mean_reward": 0.5}
    sample = {
        "candidates": 16000,
        "without_reward": 3,
        "mean_reward": None,
        "spread": 0.1,
        "best_of_k_headroom": 0.25,
        "silent_sources": 0.125,
    }
    found = rows(summary_table("x", {"greedy": greedy, "sample": sample}))
    assert ["greedy", "2,000", "0", "0.500", "–", "–", "–"] in found
    assert ["sample", "16,000", "3", "–", "0.100", "0.250", "0.125"] in found


def test_another_evaluator_is_a_row_a_strategy() -> None:
    found = rows(
        agreement_table(
            "x",
            {
                ("bleu", "sample"): Agreement(sources=1234, rank_correlation=0.5, same_best=2 / 3),
                ("bleu", "beam"): Agreement(sources=0, rank_correlation=None, same_best=None),
            },
        )
    )
    assert ["bleu", "sample", "0.500", "66.7%", "1,234"] in found
    assert ["bleu", "beam", "–", "–", "0"] in found
