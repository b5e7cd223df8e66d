"""Pictures of a comparison: the change by each measure, and the curves of training."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, SymLogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType

from goa.report.comparison import Cell, Comparison
from goa.report.evidence import Bar
from goa.report.history import History
from goa.report.numbers import label, mark, say_delta

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""One colour a policy, told apart in every common colour blindness (Okabe and Ito)."""
DASHES = ("-", "--", "-.", ":")
"""Line styles beside the colours; with them 12 policies stay apart."""
INK, PALE_INK, NO_DIRECTION = "#222222", "#767676", "#EEEEEE"
WORSE_TO_BETTER = LinearSegmentedColormap.from_list(
    "worse to better", ["#B35806", "#F1A340", "#F7F7F7", "#80B1D3", "#2166AC"]
)
LINEAR_POINTS = 1.0
"""Changes smaller than this many points are coloured in proportion, larger ones by logarithm."""
TICK_POINTS = (1, 3, 10, 30, 100)
DPI = 150


def draw_effects(path: Path, comparison: Comparison) -> None:
    """Draw the change from the baseline, measured by (rows) and trained on (columns)."""
    arms, measures = comparison.names[1:], comparison.measures
    width = max(5.5, 2.9 + 1.15 * len(arms))
    figure = Figure(figsize=(width, 1.5 + 0.36 * len(measures)), layout="constrained")
    axes = figure.add_subplot()
    limit = _limit(comparison)
    norm = SymLogNorm(LINEAR_POINTS, vmin=-limit, vmax=limit)
    for row, measure in enumerate(measures):
        for column, arm in enumerate(arms):
            cell = comparison.cell(comparison.strategies[0], measure.name, arm)
            _draw_cell(axes, (column, row), cell, norm if measure.higher_is_better else None)
    axes.set_xlim(-0.5, len(arms) - 0.5)
    axes.set_ylim(len(measures) - 0.5, -0.5)
    axes.set_xticks(range(len(arms)), arms)
    axes.set_yticks(range(len(measures)), [label(measure) for measure in measures])
    axes.xaxis.set_label_position("top")
    axes.xaxis.tick_top()
    axes.set_xlabel("trained on")
    axes.set_ylabel("measured by")
    axes.tick_params(length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)
    colours = figure.colorbar(ScalarMappable(norm, WORSE_TO_BETTER), ax=axes, aspect=30)
    ticks = [sign * size for size in TICK_POINTS for sign in (-1, 1) if size <= limit]
    colours.set_ticks(
        [0, *ticks], labels=["0", *(f"{tick:+d}".replace("-", "−") for tick in ticks)]
    )
    colours.ax.minorticks_off()
    colours.set_label(f"change from {comparison.baseline}, points", color=INK)
    colours.outline.set_visible(False)
    figure.suptitle(
        f"Change from {comparison.baseline}, {comparison.strategies[0]} decoding", color=INK
    )
    figure.supxlabel(
        "▲ better, ▼ worse, ◆ different: significant. Framed: trained on this measure.",
        fontsize="small",
        color=PALE_INK,
    )
    _save(figure, path)


def draw_rewards(path: Path, histories: Sequence[History]) -> None:
    """Draw each fine-tuned policy's reward over its updates, a panel a policy."""
    columns = min(3, len(histories))
    rows = ceil(len(histories) / columns)
    figure = Figure(figsize=(1.2 + 3.4 * columns, 0.6 + 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for history, axes in zip(histories, panels, strict=False):
        if curve := history.curves.get("reward"):
            axes.plot(curve.updates, curve.values, label="training", color="#9AA7B1", linewidth=1.0)
        if curve := history.curves.get("validation_reward"):
            axes.plot(
                curve.updates,
                curve.values,
                label="validation",
                color=COLOURS[0],
                linewidth=1.8,
                marker="o",
                markersize=3.5,
            )
        _tidy(axes, "reward")
        axes.set_title(f"trained on {history.policy}", fontsize="medium", color=INK)
    for axes in list(panels):
        axes.set_visible(False)
    handles, names = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    _save(figure, path)


def draw_lengths(path: Path, histories: Sequence[History]) -> None:
    """Draw how long each policy's outputs were over its updates, on validation where measured."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for place, history in enumerate(histories):
        curve = history.curves.get("validation_length") or history.curves.get("length")
        if curve is not None:
            axes.plot(
                curve.updates,
                curve.values,
                color=COLOURS[place % len(COLOURS)],
                linestyle=DASHES[place % len(DASHES)],
                linewidth=1.8,
                label=history.policy,
            )
    _tidy(axes, "mean length of outputs, tokens")
    if axes.lines:
        figure.legend(loc="outside right upper", title="trained on", frameon=False)
    _save(figure, path)


def draw_bar(path: Path, bar: Bar) -> None:
    """Draw what every way of decoding reaches against its time a sentence, a line an arm.

    Points whose score or time is not known are left out.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for place, arm in enumerate(dict.fromkeys(point.arm for point in bar.points)):
        points = sorted(
            (point.seconds, 100 * point.score, point.strategy)
            for point in bar.points
            if point.arm == arm and point.seconds is not None and point.score is not None
        )
        if not points:
            continue
        colour = COLOURS[place % len(COLOURS)]
        axes.plot(
            [time for time, _, _ in points],
            [score for _, score, _ in points],
            color=colour,
            linestyle=DASHES[place % len(DASHES)],
            linewidth=1.4,
            marker="o",
            markersize=4.5,
            label=arm,
        )
        for time, score, strategy in points:
            axes.annotate(
                strategy,
                (time, score),
                xytext=(5, 4),
                textcoords="offset points",
                fontsize="x-small",
                color=colour,
            )
    axes.set_xscale("log")
    axes.set_xlabel("seconds a sentence", color=INK)
    axes.set_ylabel(f"{bar.metric}, points", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    if axes.lines:
        figure.legend(loc="outside right upper", title="arm", frameon=False)
    _save(figure, path)


def _draw_cell(axes: Axes, place: tuple[int, int], cell: Cell, norm: Normalize | None) -> None:
    """Draw one square: colour, change in points, mark; framed where trained on = measured by."""
    delta = cell.change.delta if cell.change else None
    corner = (place[0] - 0.5, place[1] - 0.5)
    colour: ColorType = NO_DIRECTION
    if norm is not None and delta is not None:
        colour = WORSE_TO_BETTER(norm(100 * delta))
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5))
    if cell.trained_on:
        inner = (corner[0] + 0.03, corner[1] + 0.06)
        axes.add_patch(Rectangle(inner, 0.94, 0.88, fill=False, edgecolor=INK, linewidth=1.8))
    text = f"{say_delta(delta)} {mark(cell.change)}".strip()
    ink = "white" if norm is not None and _is_dark(colour) else INK
    axes.text(*place, text, ha="center", va="center", color=ink, fontsize="small")


def _tidy(axes: Axes, quantity: str) -> None:
    axes.set_xlabel("update", color=INK)
    axes.set_ylabel(quantity, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _limit(comparison: Comparison) -> float:
    """Find the largest change in points among the measures that have a better and a worse."""
    directed = {measure.name for measure in comparison.measures if measure.higher_is_better}
    deltas = [
        abs(100 * cell.change.delta)
        for cell in comparison.cells
        if cell.metric in directed
        and cell.strategy == comparison.strategies[0]
        and cell.change is not None
        and cell.change.delta is not None
    ]
    return max([LINEAR_POINTS, *deltas])


def _is_dark(colour: ColorType) -> bool:
    red, green, blue = to_rgb(colour)
    return bool(0.299 * red + 0.587 * green + 0.114 * blue < 0.45)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
