"""Names beside the points of a chart, where there is room for them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LETTER, LINE = 6.8, 12.0
"""Width of a label's letter, in the widest of usual fonts, and height of its line."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name beside a point."""

    x: float
    y: float
    anchor: str
    """As SVG's text-anchor."""
    text: str
    style: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A point that is to be named."""

    x: float
    y: float
    text: str
    style: str


def place_labels(
    points: Iterable[Named], taken: Iterable[Box], left: float, right: float
) -> Iterator[Label]:
    """Name points where there is room: beside, above or below; where there is none, not at all.

    Args:
        points: in the order in which they are named.
        taken: where something is drawn already.
        left: where room for names begins.
        right: where it ends.
    """
    boxes = list(taken)
    for point in points:
        for label in _around(point):
            box = _box(label)
            is_inside = box[0] >= left and box[2] <= right and box[1] >= 0
            if is_inside and not any(_overlap(box, other) for other in boxes):
                boxes.append(box)
                yield label
                break


def _around(point: Named) -> Iterator[Label]:
    for dx, dy, anchor in (
        (7, 4, "start"),
        (-7, 4, "end"),
        (0, -8, "middle"),
        (0, 16, "middle"),
        (6, -7, "start"),
        (-6, -7, "end"),
        (6, 15, "start"),
        (-6, 15, "end"),
    ):
        yield Label(
            x=round(point.x + dx, 1),
            y=round(point.y + dy, 1),
            anchor=anchor,
            text=point.text,
            style=point.style,
        )


def _box(label: Label) -> Box:
    width = LETTER * len(label.text)
    left = label.x - {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
    return left, label.y - LINE + 2, left + width, label.y + 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
