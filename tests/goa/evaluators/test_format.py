"""Conditions on the form of a candidate."""

import pytest
from pydantic import ValidationError

from goa.errors import EvaluatorError
from goa.evaluators.format import Format, FormatSettings, is_json


@pytest.mark.parametrize(
    ("candidate", "changes", "value"),
    [
        ("Dear Ann, yes.", {"pattern": r"Dear \w+, .*"}, 1.0),
        ("Oh dear Ann, yes.", {"pattern": r"Dear \w+, .*"}, 0.0),
        ("dear ann, yes.", {"pattern": r"Dear \w+, .*"}, 0.0),
        ("dear ann, yes.", {"pattern": r"Dear \w+, .*", "ignore_case": True}, 1.0),
        ("Dear Ann", {"pattern": "Dear"}, 0.0),
        ("yes and no", {"contains": ["yes", "no"]}, 1.0),
        ("yes and", {"contains": ["yes", "no"]}, 0.0),
        ("yes and", {"contains": ["yes", "no"], "pays": "share"}, 1 / 2),
        ("YES", {"contains": ["yes"]}, 0.0),
        ("STRASSE", {"contains": ["straße"], "ignore_case": True}, 1.0),
        ("sorry, no", {"excludes": ["sorry"]}, 0.0),
        ("no", {"excludes": ["sorry"]}, 1.0),
        ('{"a": [1, 2]}', {"valid_json": True}, 1.0),
        ('{"a": [1, 2}', {"valid_json": True}, 0.0),
        ("[1]", {"valid_json": True, "contains": ["2", "1"], "pays": "share"}, 2 / 3),
        ("[1]", {"valid_json": True, "contains": ["2", "1"]}, 0.0),
    ],
)
def test_values(candidate: str, changes: dict[str, object], value: float, make_sample) -> None:
    evaluator = Format("format", FormatSettings.model_validate(changes))
    assert evaluator.score([make_sample(candidate, "x")]).values == (pytest.approx(value),)


def test_the_breakdown_has_every_sort_of_condition_that_is_set(make_sample) -> None:
    evaluator = Format("format", FormatSettings(pattern="a.*", contains=["b", "c"], excludes=["d"]))
    scores = evaluator.score([make_sample("abd", "x"), make_sample("abc", "x")])
    assert scores.values == (0.0, 1.0)
    assert scores.parts == {"pattern": (1.0, 1.0), "contains": (0.5, 1.0), "excludes": (0.0, 1.0)}


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("3", True),
        (' "a" ', True),
        ("", False),
        ("NaN", False),
        ("-Infinity", False),
        ("{'a': 1}", False),
        ("1 2", False),
        ("[" * 100_000, False),
    ],
)
def test_json_is_what_the_standard_says(text: str, valid: bool) -> None:
    assert is_json(text) == valid


def test_a_pattern_that_takes_ages_is_refused_with_its_name(
    make_sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goa.evaluators.format.SECONDS_PER_MATCH", 0.05)
    evaluator = Format("shape", FormatSettings(pattern=r"(a|aa)+(a|aa)+(a|aa)+b"))
    with pytest.raises(EvaluatorError, match=r"evaluator shape: the pattern takes longer"):
        evaluator.score([make_sample("a" * 60, "x")])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "name at least one of pattern"),
        ({"pattern": "("}, "not a regular expression"),
        ({"contains": [""]}, "the empty string occurs in every text"),
    ],
)
def test_conditions_that_say_nothing_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FormatSettings.model_validate(changes)
