"""What an evaluator says of the candidate pool, beside what others said, in a terminal."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table

from goa.evaluation.agreement import Agreement
from goa.report.numbers import MISSING

Summary = Mapping[str, Mapping[str, float | None]]
"""By strategy, as the score stage's metrics file has it."""

COLUMNS = {
    "mean_reward": "mean",
    "spread": "spread",
    "best_of_k_headroom": "headroom",
    "silent_sources": "silent",
}


def summary_table(name: str, summary: Summary) -> Table:
    """Lay out the rewards, in [0, 1]: a row a strategy."""
    table = _table(f"{name}: rewards by strategy")
    table.add_column("strategy", overflow="fold")
    for heading in ("candidates", "unscored", *COLUMNS.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for strategy, values in summary.items():
        table.add_row(
            strategy,
            f"{values['candidates']:,}",
            f"{values['without_reward']:,}",
            *(_say(values.get(key)) for key in COLUMNS),
        )
    return table


def agreement_table(name: str, found: Mapping[tuple[str, str], Agreement]) -> Table:
    """Lay out agreements by (other evaluator, strategy): a row each."""
    table = _table(f"How {name} agrees with the rewards that are kept")
    table.caption = "within sources that have signal from both"
    for heading in ("rewards", "strategy"):
        table.add_column(heading, overflow="fold")
    for heading in ("Spearman", "same best", "sources"):
        table.add_column(heading, justify="right", no_wrap=True)
    for (other, strategy), agreement in found.items():
        same = agreement.same_best
        table.add_row(
            other,
            strategy,
            _say(agreement.rank_correlation),
            MISSING if same is None else f"{same:.1%}",
            f"{agreement.sources:,}",
        )
    return table


def _table(title: str) -> Table:
    return Table(
        title=title,
        box=SIMPLE_HEAD,
        title_style="bold",
        title_justify="left",
        caption_justify="left",
        header_style="bold",
    )


def _say(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"
