"""Training curves: an arm is a line, its seeds are the band about it."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from goa.report.comparison import Comparison
from goa.report.history import Curve, History
from goa.report.html.chart import Chart, Series
from goa.report.html.styles import arm_styles
from goa.report.numbers import POINTS

MAX_POINTS = 120
"""More updates than this are averaged, neighbour with neighbour."""
NO_GUARDS = {"reward", "loss", "length", "phase_reward", "live_reward"}
"""What training logs of the validation split besides guards, without the prefix."""
VALIDATION = "validation_"


def curve_charts(comparison: Comparison, histories: Sequence[History]) -> tuple[Chart, ...]:
    """Draw reward, guards, divergence, entropy and length over training, as far as logged.

    Each evaluator has a chart of its own for the reward: rewards of different evaluators are no
    one quantity.
    """
    logged = {history.policy: history for history in histories}
    found = _Curves(comparison, logged)
    charts = [
        *(found.reward(name) for name in comparison.evaluators),
        *(
            found.over_arms(f"Guard: {name}", f"{name} × 100", [f"{VALIDATION}{name}"], POINTS)
            for name in _guards(histories)
        ),
        found.over_arms("Divergence", "KL from the pretrained policy, nats per output", ["kl"]),
        found.over_arms("Entropy", "nats per token", ["entropy"]),
        found.over_arms("Length of outputs", "tokens", ["validation_length", "length"]),
    ]
    return tuple(chart for chart in charts if chart is not None)


def _guards(histories: Sequence[History]) -> list[str]:
    columns = dict.fromkeys(name for history in histories for name in history.curves)
    names = [name.removeprefix(VALIDATION) for name in columns if name.startswith(VALIDATION)]
    return [name for name in names if name not in NO_GUARDS]


class _Curves:
    """What the policies of a comparison logged, drawn arm by arm."""

    def __init__(self, comparison: Comparison, logged: Mapping[str, History]) -> None:
        self._comparison = comparison
        self._logged = logged
        self._styles = arm_styles(comparison)

    def reward(self, evaluator: str) -> Chart | None:
        """Draw the validation reward of an evaluator's arm and its controls.

        Of the arm itself also the reward it was trained on; controls are paid otherwise.
        """
        arms = [arm for arm in self._comparison.arms if arm.evaluator == evaluator]
        training = [
            self._series(arm.name, ["reward"], POINTS, style="faint")
            for arm in arms
            if arm.control is None
        ]
        validation = [self._series(arm.name, ["validation_reward"], POINTS) for arm in arms]
        return _chart(f"Reward: {evaluator}", f"{evaluator} × 100", [*training, *validation])

    def over_arms(
        self, title: str, y_name: str, columns: Sequence[str], factor: float = 1.0
    ) -> Chart | None:
        """Draw a quantity of all arms: the first of these columns that an arm's policies logged."""
        arms = [arm.name for arm in self._comparison.arms]
        return _chart(title, y_name, [self._series(arm, columns, factor) for arm in arms])

    def _series(
        self, name: str, columns: Sequence[str], factor: float, style: str = ""
    ) -> Series | None:
        arm = next(arm for arm in self._comparison.arms if arm.name == name)
        histories = [self._logged[policy] for policy in arm.policies if policy in self._logged]
        curves = _first_logged(histories, columns)
        if not curves:
            return None
        rows = thinned(over_seeds(curves))
        return Series(
            arm=name,
            style=f"{self._styles[name]} {style}".strip(),
            points=tuple((x, factor * mean) for x, _, mean, _ in rows),
            band=tuple((x, factor * low, factor * high) for x, low, _, high in rows)
            if len(curves) > 1
            else (),
            dots=columns[0].startswith(VALIDATION) and len(rows) <= MAX_POINTS // 2,
        )


def _first_logged(histories: Sequence[History], columns: Sequence[str]) -> list[Curve]:
    """Take the first column that every policy logged."""
    for column in columns:
        curves = [each.curves[column] for each in histories if column in each.curves]
        if curves and len(curves) == len(histories):
            return curves
    return []


Row = tuple[float, float, float, float]
"""(update, lowest, mean, highest)"""


def over_seeds(curves: Sequence[Curve]) -> list[Row]:
    """Put the seeds of an arm together, at the updates that all of them logged."""
    by_update = [dict(zip(curve.updates, curve.values, strict=True)) for curve in curves]
    shared = sorted(set(by_update[0]).intersection(*by_update[1:]))
    rows = []
    for update in shared:
        values = [curve[update] for curve in by_update]
        rows.append((float(update), min(values), fmean(values), max(values)))
    return rows


def thinned(rows: Sequence[Row]) -> list[Row]:
    """Average neighbours, equally many together, until few enough are left."""
    together = -(-len(rows) // MAX_POINTS)
    if together < 2:
        return list(rows)
    groups = [rows[start : start + together] for start in range(0, len(rows), together)]
    return [
        (fmean(updates), fmean(lows), fmean(means), fmean(highs))
        for updates, lows, means, highs in (zip(*group, strict=True) for group in groups)
    ]


def _chart(title: str, y_name: str, series: Sequence[Series | None]) -> Chart | None:
    drawn = tuple(each for each in series if each is not None and each.points)
    if not drawn:
        return None
    return Chart(
        title=title,
        x_name="update",
        y_name=y_name,
        series=drawn,
        description="; ".join(_tell(drawn)),
    )


def line_name(series: Series) -> str:
    """Name a line: an arm has one more in a chart of rewards, of what it was trained on."""
    return f"{series.arm} in training" if "faint" in series.style else series.arm


def _tell(drawn: Sequence[Series]) -> Iterator[str]:
    for each in drawn:
        (_, first), (update, last) = each.points[0], each.points[-1]
        yield f"{line_name(each)}: from {first:.4g} to {last:.4g} at update {update:.0f}"
