"""What counts as a collapse, and what does not."""

import pytest

from goa.trainer.collapse import CollapseSettings, find_collapse

SETTINGS = CollapseSettings(score=0.5, entropy=0.1)


@pytest.mark.parametrize(
    ("score", "entropy", "found"),
    [
        ((0.29, 0.6), (None, None), "the validation score fell from 0.6000 to 0.2900"),
        ((0.31, 0.6), (None, None), None),
        ((0.6, 0.6), (0.19, 2.0), "entropy fell from 2.0000 to 0.1900 nats per token"),
        ((0.6, 0.6), (0.21, 2.0), None),
        ((0.6, 0.6), (0.0, None), None),
        # Of scores below 0, such as log-likelihoods, a share means nothing.
        ((-5.0, -1.0), (None, None), None),
        ((-5.0, -4.0), (None, None), None),
    ],
)
def test_a_cliff_is_told_from_a_slope(
    score: tuple[float, float], entropy: tuple[float | None, float | None], found: str | None
) -> None:
    assert find_collapse(SETTINGS, score=score, entropy=entropy) == found
