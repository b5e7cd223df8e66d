"""Charts as plain geometry: a template draws them as SVG, which the page's colours reach."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10

from matplotlib.ticker import LogLocator, MaxNLocator

from goa.report.html.labels import Label, Named, place_labels

LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 10.0, 38.0
"""Room around the plot, for the numbers and names of its axes."""
MARGIN = 0.04
"""Share of the range left free above and below what is drawn."""
LOG_ROOM = 1.3
"""Factor left free at both ends of a logarithmic axis."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart."""

    arm: str
    style: str
    """Classes that colour and dash it."""
    points: tuple[Point, ...]
    """(x, y) from left to right."""
    band: tuple[tuple[float, float, float], ...] = ()
    """(x, low, high), where several seeds are one line."""
    bars: tuple[tuple[float, float, float], ...] = ()
    """(x, low, high) of error bars."""
    line: bool = True
    dots: bool = False
    labels: tuple[str, ...] = ()
    """One a point, or none at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What is drawn."""

    title: str
    x_name: str
    y_name: str
    series: tuple[Series, ...]
    description: str
    """What it shows, in words, for those who do not see it."""
    x_log: bool = False
    width: float = 400.0
    height: float = 250.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A number beside an axis."""

    place: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A marked point; its text is told where the pointer rests."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """One line as SVG paths."""

    style: str
    line: str
    """Empty: no line."""
    area: str
    """The band; empty: none."""
    bars: str
    """Error bars; empty: none."""
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart, laid out: all lengths in units of its view box."""

    chart: Chart
    strokes: tuple[Stroke, ...]
    labels: tuple[Label, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    left: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From values to places along an axis."""

    low: float
    high: float
    start: float
    """Where the low end is drawn."""
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Place a value."""
        position = log10(value) if self.log else value
        low, high = (log10(self.low), log10(self.high)) if self.log else (self.low, self.high)
        return round(self.start + (position - low) / (high - low) * (self.end - self.start), 1)

    def ticks(self) -> tuple[Tick, ...]:
        """Choose round numbers along the axis."""
        locator = (
            LogLocator(subs=(1.0, 2.0, 5.0))
            if self.log
            else MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10])
        )
        found = [float(x) for x in locator.tick_values(self.low, self.high)]
        slack = 1e-9 * (self.high - self.low)
        return tuple(
            Tick(place=self(value), text=_number(value))
            for value in found
            if self.low - slack <= value <= self.high + slack
        )


def draw(chart: Chart) -> Drawing:
    """Lay a chart out; it has at least one point."""
    right, bottom = chart.width - RIGHT, chart.height - BOTTOM
    widths = [x for each in chart.series for x, _ in each.points]
    heights = [height for each in chart.series for height in _heights(each)]
    x = _log_scale(widths, LEFT, right) if chart.x_log else _scale(widths, LEFT, right)
    y = _scale(heights, bottom, TOP, margin=MARGIN)
    return Drawing(
        chart=chart,
        strokes=tuple(_stroke(each, x, y) for each in chart.series),
        labels=tuple(_labels(chart, x, y)),
        x_ticks=x.ticks(),
        y_ticks=y.ticks(),
        left=LEFT,
        right=right,
        bottom=bottom,
    )


def _heights(series: Series) -> Iterable[float]:
    yield from (y for _, y in series.points)
    for _, low, high in (*series.band, *series.bars):
        yield from (low, high)


def _scale(values: Sequence[float], start: float, end: float, margin: float = 0.0) -> Scale:
    low, high = min(values), max(values)
    room = margin * (high - low)
    if low == high:  # a flat line, in the middle
        room = 0.05 * abs(low) or 0.5
    return Scale(low=low - room, high=high + room, start=start, end=end)


def _log_scale(values: Sequence[float], start: float, end: float) -> Scale:
    return Scale(
        low=min(values) / LOG_ROOM, high=max(values) * LOG_ROOM, start=start, end=end, log=True
    )


def _stroke(series: Series, x: Scale, y: Scale) -> Stroke:
    placed = [(x(a), y(b)) for a, b in series.points]
    upper = [(x(a), y(high)) for a, _, high in series.band]
    lower = [(x(a), y(low)) for a, low, _ in reversed(series.band)]
    dots = zip(placed, series.points, strict=True) if series.dots else ()
    return Stroke(
        style=series.style,
        line=_path(placed) if series.line and len(placed) > 1 else "",
        area=f"{_path([*upper, *lower])}Z" if len(upper) > 1 else "",
        bars="".join(_path([(x(a), y(low)), (x(a), y(high))]) for a, low, high in series.bars),
        dots=tuple(
            Dot(x=px, y=py, text=f"{series.arm}: {_number(b)} at {_number(a)}")
            for (px, py), (a, b) in dots
        ),
    )


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _labels(chart: Chart, x: Scale, y: Scale) -> Iterable[Label]:
    dots = [
        (x(a) - 4, y(b) - 4, x(a) + 4, y(b) + 4) for each in chart.series for a, b in each.points
    ]
    bars = [
        (x(a) - 1, y(high), x(a) + 1, y(low)) for each in chart.series for a, low, high in each.bars
    ]
    named = (
        Named(x=x(a), y=y(b), text=text, style=each.style)
        for each in chart.series
        for (a, b), text in zip(each.points, each.labels, strict=False)
    )
    return place_labels(named, [*dots, *bars], LEFT, chart.width)


def _number(value: float) -> str:
    """Write a number with the digits that count: 12,000; 40.5; 0.0125; −3."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return text.replace("-", "−")
