"""Pictures of what is not all there."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from goa.report import pictures
from goa.report.evidence import Bar, BarPoint
from goa.report.history import Curve, History


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Keep the figures instead of writing them."""
    figures: list[Figure] = []
    monkeypatch.setattr(pictures, "_save", lambda figure, _: figures.append(figure))
    return figures


def point(arm: str, seconds: float | None, score: float | None = 0.5) -> BarPoint:
    return BarPoint(arm=arm, strategy="greedy", score=score, low=0.4, high=0.6, seconds=seconds)


def bar(*points: BarPoint) -> Bar:
    return Bar(
        metric="bleu", points=points, trained=None, any_time=None, same_time=None, sentence=""
    )


def test_panels_that_no_policy_needs_are_not_shown(drawn: list[Figure]) -> None:
    curve = Curve(updates=(1, 2), values=(0.1, 0.2))
    histories = [History(policy=f"bleu-{seed}", curves={"reward": curve}) for seed in range(4)]
    pictures.draw_rewards(Path("reward.png"), histories)
    shown = [axes.get_visible() for axes in drawn[0].axes]
    assert shown == [True] * 4 + [False] * 2


def test_an_arm_whose_times_or_scores_are_not_known_has_no_line(drawn: list[Figure]) -> None:
    points = (point("mle", None), point("bleu", 0.2), point("rule", 0.1, score=None))
    pictures.draw_bar(Path("bar.png"), bar(*points))
    (axes,) = drawn[0].axes
    assert [line.get_label() for line in axes.lines] == ["bleu"]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["bleu"]


def test_a_picture_without_lines_has_no_legend(drawn: list[Figure]) -> None:
    pictures.draw_bar(Path("bar.png"), bar(point("mle", None)))
    assert drawn[0].legends == []
