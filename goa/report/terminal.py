"""The comparison at the end of a run, in a terminal."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from goa.report.comparison import Cell, Comparison
from goa.report.numbers import label, mark, say_score

STYLES = {"better": "green", "worse": "red", "different": "yellow", "none": ""}


def comparison_table(comparison: Comparison) -> Table:
    """Lay out the first strategy: a row a measure, a column an arm, scores × 100."""
    strategy = comparison.strategies[0]
    table = Table(
        title=f"{strategy} decoding, {comparison.num_examples} test examples, scores × 100",
        caption=(
            f"▲ better, ▼ worse, ◆ different than {comparison.baseline}: "
            f"p < {comparison.significance:g}, corrected\nunderlined: rewarded by this measure"
        ),
        box=SIMPLE_HEAD,
        title_style="bold",
        title_justify="left",
        caption_justify="left",
        header_style="bold",
    )
    table.add_column("measured by")
    for arm in comparison.names:
        # On a narrow terminal names are folded, never cut; "41.02 ▲" keeps its line.
        table.add_column(arm, justify="right", overflow="fold", min_width=7)
    for measure in comparison.measures:
        cells = [_cell(comparison.cell(strategy, measure.name, arm)) for arm in comparison.names]
        table.add_row(label(measure), *cells)
    return table


def verdict_line(comparison: Comparison) -> Text:
    """Give the verdict in one sentence; green where an arm beat the baseline."""
    won = comparison.verdict.winner != comparison.baseline
    return Text(comparison.verdict.sentence, style="bold green" if won else "bold")


def bar_line(comparison: Comparison) -> Text | None:
    """Say whether decoding alone gets there; None where the verdict says it, or nothing can."""
    bar = comparison.bar
    if bar is None or bar.any_time is None or bar.sentence in comparison.verdict.sentence:
        return None
    return Text(bar.sentence)


def alarm_lines(comparison: Comparison) -> Iterator[Text]:
    """Name the guards that fell while the reward rose, a line each."""
    for alarm in comparison.alarms:
        yield Text(
            f"⚑ {alarm.guard} fell while the reward rose, in {alarm.policy} from update "
            f"{alarm.began:,} on: {say_score(alarm.guard_before)} to "
            f"{say_score(alarm.guard_after)}; kept: the policy of update {alarm.chosen:,}",
            style="red",
        )


def _cell(cell: Cell) -> Text:
    text = Text(say_score(cell.score), style="underline" if cell.trained_on else "")
    sign = mark(cell.change) or " "
    style = STYLES[cell.change.effect] if cell.change else ""
    return Text.assemble(text, " ", (sign, style))
