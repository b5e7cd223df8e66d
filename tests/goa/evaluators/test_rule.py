"""The rule and its parts by hand."""

import pytest

from goa import __version__
from goa.errors import SettingsError
from goa.evaluators.rule import Rule, RuleSettings, weighted_mean
from goa.settings import validate

WEIGHTS = {"a": 0.5, "b": 0.2, "c": 0.3}
POSITIVE = "VADER is smart, handsome, and funny."  # compound 0.8316
NEGATIVE = "Today SUX!"  # compound -0.5461
NEUTRAL = "The table has four legs."


def parts(sample, **settings) -> dict[str, float | None]:
    scores = Rule("rule", RuleSettings(**settings)).score([sample])
    return {name: column[0] for name, column in scores.parts.items()}


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ({"a": 1.0, "b": 0.0, "c": 0.0}, 0.5),
        ({"a": 0.4, "b": 0.5, "c": 1.0}, 0.6),
        ({"a": 0.4, "b": 0.5, "c": None}, 0.3 / 0.7),
        ({"a": None, "b": None, "c": 0.9}, 0.9),
        ({"a": None, "b": None, "c": None}, None),
    ],
)
def test_parts_are_averaged_by_weight_as_worked_by_hand(measured, expected) -> None:
    assert weighted_mean(measured, WEIGHTS) == pytest.approx(expected, abs=1e-15)


def test_a_part_that_applies_but_has_no_weight_gives_no_value() -> None:
    assert weighted_mean({"a": 1.0, "b": None}, {"a": 0.0, "b": 1.0}) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b a b", (2 / 4 + 2 / 3) / 2),
        ("a b c", 1.0),
        ("a a a", (1 / 3 + 1 / 2) / 2),
        ("a", 1.0),
        ("", 0.0),
    ],
)
def test_diversity_is_as_worked_by_hand(text: str, expected: float, make_sample) -> None:
    found = parts(make_sample(text, "x"), max_order=2)["diversity"]
    assert found == pytest.approx(expected, abs=1e-15)


def test_sentiment_consistency_is_as_worked_by_hand(make_sample) -> None:
    found = parts(make_sample(NEGATIVE, POSITIVE))["sentiment_consistency"]
    assert found == pytest.approx(1 - (0.8316 + 0.5461) / 2, abs=1e-12)


def test_sentiment_is_compared_with_the_mean_of_the_references(make_sample) -> None:
    found = parts(make_sample(NEUTRAL, POSITIVE, NEUTRAL))["sentiment_consistency"]
    assert found == pytest.approx(1 - 0.8316 / 2 / 2, abs=1e-12)


@pytest.mark.parametrize("candidate", [POSITIVE, NEGATIVE, NEUTRAL, ""])
def test_where_references_bear_no_sentiment_the_part_does_not_apply_to_any_candidate(
    make_sample, candidate
) -> None:
    assert parts(make_sample(candidate, NEUTRAL))["sentiment_consistency"] is None


def test_references_of_opposite_sentiment_still_apply(make_sample) -> None:
    assert parts(make_sample("", POSITIVE, NEGATIVE))["sentiment_consistency"] is not None


def test_the_closest_reference_counts_for_relevance(make_sample) -> None:
    assert parts(make_sample("Two dogs", "a red car", "two dogs!"))["relevance"] == 1.0


@pytest.mark.parametrize(
    ("against", "expected"), [("references", 1.0), ("source", 0.0), ("both", 0.5)]
)
def test_relevance_is_measured_against_what_the_settings_say(
    make_sample, against, expected
) -> None:
    sample = make_sample("two dogs", "two dogs", source="xyz")
    assert parts(sample, against=against)["relevance"] == expected


def test_the_value_is_the_weighted_mean_of_the_breakdown(make_sample) -> None:
    sample = make_sample("The food is good, good, good", "The food is tasty and great")
    settings = RuleSettings(relevance=5, diversity=2, sentiment_consistency=3)
    scores = Rule("rule", settings).score([sample])
    relevance, diverse, consistent = (column[0] for column in scores.parts.values())
    assert list(scores.parts) == ["relevance", "diversity", "sentiment_consistency"]
    expected = 0.5 * relevance + 0.2 * diverse + 0.3 * consistent
    assert scores.values[0] == pytest.approx(expected, abs=1e-12)


def test_only_the_proportions_of_the_weights_count(make_sample) -> None:
    sample = make_sample("a good dog", "a good cat")
    once, tenfold = (
        Rule("rule", RuleSettings(relevance=r, diversity=d, sentiment_consistency=s))
        for r, d, s in [(0.5, 0.2, 0.3), (5, 2, 3)]
    )
    assert once.score([sample]).values == pytest.approx(tenfold.score([sample]).values, abs=1e-15)


def test_a_rule_of_sentiment_alone_has_no_value_where_sentiment_does_not_apply(
    make_sample,
) -> None:
    settings = RuleSettings(relevance=0, diversity=0, sentiment_consistency=1)
    scores = Rule("rule", settings).score([make_sample(NEUTRAL, NEUTRAL)])
    assert scores.values == (None,)
    assert scores.parts["relevance"] == (1.0,)


def test_an_empty_candidate_scores_zero_where_references_are_neutral(make_sample) -> None:
    assert Rule("rule", RuleSettings()).score([make_sample("", NEUTRAL)]).values == (0.0,)


def test_weights_that_are_all_zero_are_refused() -> None:
    weights = {"relevance": 0.0, "diversity": 0.0, "sentiment_consistency": 0.0}
    with pytest.raises(SettingsError, match="at least one of the weights must be above 0"):
        validate(RuleSettings, {"kind": "rule", **weights}, "params.yaml")


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(SettingsError, match="relevance: .*greater than or equal to 0"):
        validate(RuleSettings, {"kind": "rule", "relevance": -0.1}, "params.yaml")


def test_the_signature_names_weights_and_versions() -> None:
    assert Rule("rule", RuleSettings()).signature == (
        "rule|relevance:0.5|diversity:0.2|sentiment_consistency:0.3|against:references|max_order:2"
        f"|version:goa-{__version__},vaderSentiment-3.3.2"
    )


@pytest.mark.parametrize(
    ("relevance", "against", "sentiment_consistency", "reads_references"),
    [
        (1.0, "references", 0.0, True),
        (1.0, "source", 0.0, False),
        (1.0, "source", 1.0, True),
        (0.0, "references", 0.0, False),
        (0.0, "references", 1.0, True),
    ],
)
def test_scores_hang_on_references_where_a_part_of_weight_reads_them(
    relevance, against, sentiment_consistency, reads_references
) -> None:
    settings = RuleSettings(
        relevance=relevance,
        diversity=1.0,
        sentiment_consistency=sentiment_consistency,
        against=against,
    )
    assert ("references" in settings.hangs_on) == reads_references


def test_diversity_looks_at_n_grams_as_long_as_the_settings_say(make_sample) -> None:
    sample = make_sample("a b a b", "a b")
    for max_order, expected in ((1, 2 / 4), (3, (2 / 4 + 2 / 3 + 2 / 2) / 3)):
        scores = Rule("rule", RuleSettings(max_order=max_order)).score([sample])
        assert scores.parts["diversity"] == (pytest.approx(expected),)
