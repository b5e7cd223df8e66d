"""What a reward costs in divergence, and what quality costs in time."""

from collections.abc import Sequence
from statistics import fmean

from goa.report.comparison import ComparedArm, Comparison
from goa.report.evidence import Bar
from goa.report.history import Curve, History
from goa.report.html.chart import Chart, Series
from goa.report.html.styles import arm_styles
from goa.report.numbers import POINTS


def frontier_charts(comparison: Comparison, histories: Sequence[History]) -> tuple[Chart, ...]:
    """Draw validation reward against divergence, a chart an evaluator, a line a policy."""
    logged = {history.policy: history for history in histories}
    styles = arm_styles(comparison)
    charts = []
    for evaluator in comparison.evaluators:
        arms = [arm for arm in comparison.arms if arm.evaluator == evaluator]
        series = [each for arm in arms for each in _frontier(arm, logged, styles[arm.name])]
        if series:
            charts.append(
                Chart(
                    title=f"{evaluator} against divergence",
                    x_name="KL from the pretrained policy, nats per output",
                    y_name=f"{evaluator} × 100, validation",
                    series=tuple(series),
                    description="; ".join(
                        f"{each.arm}: {each.points[-1][1]:.4g} at {each.points[-1][0]:.3g} nats"
                        for each in series
                    ),
                )
            )
    return tuple(charts)


def _frontier(arm: ComparedArm, logged: dict[str, History], style: str) -> list[Series]:
    found = []
    for policy in arm.policies:
        curves = logged[policy].curves if policy in logged else {}
        if "kl" in curves and "validation_reward" in curves:
            points = frontier(curves["kl"], curves["validation_reward"])
            found.append(
                Series(
                    arm=policy,
                    style=f"{style} many",
                    points=tuple((x, POINTS * y) for x, y in points),
                    dots=True,
                )
            )
    return [each for each in found if each.points]


def frontier(divergence: Curve, reward: Curve) -> list[tuple[float, float]]:
    """Pair each look at the reward with the mean divergence since the look before it.

    Before the first update the policy is the pretrained one: its divergence is 0.
    """
    points, before = [], -1
    for look, value in zip(reward.updates, reward.values, strict=True):
        since = [
            y
            for update, y in zip(divergence.updates, divergence.values, strict=True)
            if before < update <= look and update > 0
        ]
        if since:
            points.append((fmean(since), value))
        elif look == 0:
            points.append((0.0, value))
        before = look
    return points


def time_chart(comparison: Comparison, bar: Bar) -> Chart | None:
    """Draw quality against the time of a sentence, every arm by every strategy."""
    styles = arm_styles(comparison)
    series = []
    for arm in comparison.names:
        known = [
            (each.seconds, each.score, each)
            for each in bar.points
            if each.arm == arm and each.score is not None and each.seconds
        ]
        if known:
            series.append(
                Series(
                    arm=arm,
                    style=f"{styles[arm]} large",
                    points=tuple((1000 * seconds, POINTS * score) for seconds, score, _ in known),
                    bars=tuple(
                        (1000 * seconds, POINTS * point.low, POINTS * point.high)
                        for seconds, _, point in known
                        if point.low is not None and point.high is not None
                    ),
                    line=False,
                    dots=True,
                    labels=tuple(point.strategy for *_, point in known),
                )
            )
    if not series:
        return None
    return Chart(
        title=f"{bar.metric} against decoding time",
        x_name="milliseconds per sentence, logarithmic",
        y_name=f"{bar.metric} × 100",
        series=tuple(series),
        description="; ".join(
            f"{each.arm} by {label}: {y:.4g} in {x:.3g} ms"
            for each in series
            for (x, y), label in zip(each.points, each.labels, strict=True)
        ),
        x_log=True,
        width=640.0,
        height=330.0,
    )
