"""The verdicts before training, in a terminal: rewards as they are, in [0, 1]."""

from collections.abc import Iterator, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from goa.evaluation.gameability import Probing
from goa.evaluation.ranks import ReferenceRanks
from goa.evaluation.readiness import (
    SIGNIFICANCE,
    Cost,
    Findings,
    Preflight,
    Readiness,
    beats_policy,
    falls_behind,
)
from goa.report.numbers import MISSING

COLD = 2.0
"""How many times longer the first 1,000 rewards take where that is worth a word."""
HEADS = {"repeated": "re-\npeated", "frequent": "fre-\nquent", "shuffled": "shuf-\nfled"}
"""Heads of columns that leave room for the names of evaluators."""


def show_preflight(preflight: Preflight) -> Iterator[RenderableType]:
    """Give what there is to print, from top to bottom: numbers, probes, policy, verdicts."""
    measured = {
        name: found.findings for name, found in preflight.evaluators.items() if found.findings
    }
    if measured:
        yield _signal_table(measured, preflight.sources)
        yield _probe_table(measured)
    yield _policy_line(preflight.ranks)
    yield Text()
    for name, found in preflight.evaluators.items():
        yield from _verdict(name, found)


def _signal_table(measured: Mapping[str, Findings], num_sources: int) -> Table:
    with_price = any(found.cost.price is not None for found in measured.values())
    table = _table(
        f"What the policy's samples for {num_sources} sources earn",
        ["mean", "best", "head-\nroom", "spread", "silent", "twice", "s / 1000"]
        + ["price\n/ 1000"] * with_price,
    )
    table.caption = (
        "headroom: best of N − mean; silent: sources without signal;\n"
        "twice: largest difference between two scorings"
    )
    for name, found in measured.items():
        signal = found.signal
        rewards = (signal.mean, signal.best, signal.headroom, signal.spread)
        table.add_row(
            Text(name),
            *map(_say, rewards),
            MISSING if signal.silent is None else f"{signal.silent:.0%}",
            _say_difference(found),
            _say_cost(found.cost),
            *[_say_amount(found.cost.price)] * with_price,
        )
    return table


def _probe_table(measured: Mapping[str, Findings]) -> Table:
    kinds = list(dict.fromkeys(kind for found in measured.values() for kind in found.probes))
    table = _table(
        "What else would earn",
        ["sam-\nples", "best", "ref.", *(HEADS.get(kind, kind) for kind in kinds)],
    )
    table.caption = (
        "▲ an unwanted text earns more than the samples, ▼ a reference less:\n"
        f"p < {SIGNIFICANCE:g}, paired bootstrap over sources"
    )
    for name, found in measured.items():
        table.add_row(
            Text(name),
            _say(found.signal.mean),
            _say(found.signal.best),
            Text.assemble(
                _say(found.reference.mean), ("▼" if falls_behind(found.reference) else " ", "red")
            ),
            *(_probe_cell(found.probes[kind]) for kind in kinds),
        )
    return table


def _probe_cell(probing: Probing) -> Text:
    return Text.assemble(_say(probing.mean), ("▲" if beats_policy(probing) else " ", "red"))


def _table(title: str, columns: list[str]) -> Table:
    table = Table(
        title=title,
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_style="bold",
        title_justify="left",
        caption_justify="left",
        header_style="bold",
    )
    table.add_column("", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _policy_line(ranks: ReferenceRanks) -> Text:
    return Text(
        f"The policy's rank of the references' tokens: median {ranks.median:g}, first "
        f"{ranks.top_1:.0%}, among the first ten {ranks.top_10:.0%} ({ranks.tokens:,} tokens of "
        f"{ranks.sources} references)."
    )


def _verdict(name: str, found: Readiness) -> Iterator[RenderableType]:
    word, style = ("GO", "bold green") if found.go else ("NO-GO", "bold red")
    yield Text.assemble((f"{word:<6}", style), (name, "bold"))
    for mark, lines, colour in (("✗", found.reasons, "red"), ("!", found.warnings, "yellow")):
        for line in lines:
            row = Table.grid(padding=(0, 1))
            row.add_row(Text(mark, style=colour), Text(line))
            yield Padding(row, (0, 0, 0, 6))


def _say(reward: float | None) -> str:
    return MISSING if reward is None else f"{reward:.3f}"


def _say_difference(found: Findings) -> str:
    told = f"{found.largest_difference:.1g}"
    return f"{told} (draws)" if found.draws else told


def _say_cost(cost: Cost) -> str:
    told = _say_amount(cost.seconds)
    if cost.cold_seconds > COLD * cost.seconds:
        return f"{told}\ncold {_say_amount(cost.cold_seconds)}"
    return told


def _say_amount(amount: float | None) -> str:
    """Write seconds or money: 0.03, 1.20, 1,234."""
    if amount is None:
        return MISSING
    if amount < 0.01:
        return "< 0.01"
    return f"{amount:.2f}" if amount < 100 else f"{amount:,.0f}"
