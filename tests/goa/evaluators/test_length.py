"""The length evaluator by hand-computed values."""

import pytest

from goa.evaluators.length import Length, LengthSettings


@pytest.mark.parametrize(
    ("candidate", "references", "changes", "value"),
    [
        ("a b c", ["x y z"], {}, 1.0),
        ("a b", ["x y z"], {}, 2 / 3),
        ("a b c d", ["x y z"], {}, 3 / 4),
        ("a b c d", ["x y z", "u v w x y"], {}, 3 / 4),  # of two as close, the shorter
        ("a b c d", ["x", "u v w x y"], {}, 4 / 5),
        ("", ["x y"], {}, 0.0),
        ("", [""], {}, 1.0),
        ("...", ["!"], {}, 1.0),
        ("a", [""], {}, 0.0),
        ("a b", ["x y z"], {"tolerance": 0.2}, 0.8),
        ("a b", ["x y z"], {"tolerance": 0.5}, 1.0),
        ("a b c", ["x y z"], {"tolerance": 0.5}, 1.0),
        ("a b c d e f", ["x y z"], {"ratio": 2.0}, 1.0),
        ("a b", ["x"], {"against": "source", "ratio": 0.5}, 1.0),
        ("a", ["x"], {"against": "source", "ratio": 0.5}, 1 / 2),
    ],
)
def test_values(candidate, references, changes, value, make_sample) -> None:
    evaluator = Length("length", LengthSettings(**changes))
    sample = make_sample(candidate, *references, source="one two three four")
    assert evaluator.score([sample]).values == (pytest.approx(value),)


def test_the_signature_names_every_setting() -> None:
    signature = Length("length", LengthSettings(ratio=0.3)).signature
    assert signature.startswith("length|against:references|ratio:0.3|tolerance:0.0|version:goa-")
