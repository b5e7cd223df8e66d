"""Charts as geometry, worked out by hand."""

import itertools

import pytest

from goa.report.html.chart import BOTTOM, LEFT, RIGHT, TOP, Chart, Scale, Series, draw

RIGHT_EDGE, BOTTOM_EDGE = 400.0 - RIGHT, 250.0 - BOTTOM


def chart(*series: Series, x_log: bool = False) -> Chart:
    return Chart(title="t", x_name="x", y_name="y", series=series, description="d", x_log=x_log)


def test_points_lie_between_the_axes_in_proportion() -> None:
    drawing = draw(chart(Series(arm="a", style="", points=((0, 0), (1, 5), (2, 10)), dots=True)))
    first, middle, last = drawing.strokes[0].dots
    height = BOTTOM_EDGE - TOP

    assert (first.x, middle.x, last.x) == (LEFT, (LEFT + RIGHT_EDGE) / 2, RIGHT_EDGE)
    # 4% of the range are left free above and below.
    assert first.y == pytest.approx(BOTTOM_EDGE - height * 0.04 / 1.08, abs=0.05)
    assert middle.y == pytest.approx((TOP + BOTTOM_EDGE) / 2, abs=0.05)
    assert drawing.strokes[0].line == f"M{first.x:g} {first.y:g}L{middle.x:g} {middle.y:g}L" + (
        f"{last.x:g} {last.y:g}"
    )


def test_a_band_goes_along_its_upper_end_and_back_along_the_lower() -> None:
    series = Series(arm="a", style="", points=((0, 5), (1, 5)), band=((0, 0, 10), (1, 2, 8)))
    path = draw(chart(series)).strokes[0].area
    corners = [tuple(map(float, each.split())) for each in path.strip("MZ").split("L")]

    assert [x for x, _ in corners] == [LEFT, RIGHT_EDGE, RIGHT_EDGE, LEFT]
    top_left, top_right, low_right, low_left = (y for _, y in corners)
    assert top_left < top_right < low_right < low_left


def test_decades_are_equally_far_apart_on_a_logarithmic_axis() -> None:
    scale = Scale(low=1, high=100, start=0, end=200, log=True)
    assert [scale(x) for x in (1, 10, 100)] == [0, 100, 200]
    assert [tick.text for tick in scale.ticks()] == ["1", "2", "5", "10", "20", "50", "100"]


def test_ticks_are_round_and_within_the_axis() -> None:
    texts = [tick.text for tick in Scale(low=-3.0, high=9.4, start=0, end=1).ticks()]
    assert texts == ["−2.5", "0", "2.5", "5", "7.5"]
    assert [x.text for x in Scale(low=0, high=4000, start=0, end=1).ticks()][-1] == "4,000"


@pytest.mark.parametrize("value", [0.0, 7.0, -7.0])
def test_a_flat_line_lies_in_the_middle(value: float) -> None:
    drawing = draw(chart(Series(arm="a", style="", points=((0, value), (1, value)), dots=True)))
    assert [dot.y for dot in drawing.strokes[0].dots] == [(TOP + BOTTOM_EDGE) / 2] * 2


def test_a_single_point_is_drawn_without_a_line() -> None:
    drawing = draw(chart(Series(arm="a", style="", points=((3, 1),), dots=True)))
    assert drawing.strokes[0].line == ""
    assert len(drawing.strokes[0].dots) == 1


def test_names_of_points_do_not_overlap() -> None:
    # Eight points in one place: the eight sides of it are not free for all of their names.
    points = tuple((10 + place / 1000, 1.0) for place in range(8))
    series = Series(arm="a", style="", points=points, line=False, labels=("a strategy",) * 8)
    labels = draw(chart(series, x_log=True)).labels
    assert 1 < len(labels) < 8
    for one, other in itertools.combinations(labels, 2):
        apart = {one.anchor, other.anchor} == {"start", "end"}
        assert apart or abs(one.y - other.y) >= 11
