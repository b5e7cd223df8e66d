"""Sentiment against the values that VADER publishes, and by classifiers."""

import math

import pytest

from goa import __version__
from goa.errors import SettingsError
from goa.evaluators.classifier import ClassifierSettings
from goa.evaluators.sentiment import (
    SENTIMENT_CHARACTERS,
    SentimentClassifierSettings,
    SentimentConsistencySettings,
    make_sentiment,
)
from goa.settings import validate

LABELS = {"positive": "POS", "negative": "NEG"}


@pytest.mark.parametrize(
    ("text", "compound"),
    [
        ("VADER is smart, handsome, and funny.", 0.8316),
        ("VADER is not smart, handsome, nor funny.", -0.7424),
        ("Today SUX!", -0.5461),
        ("The table has four legs.", 0.0),
        ("Dieser Tisch ist wunderbar.", 0.0),
        ("", 0.0),
    ],
)
def test_it_is_the_compound_score_that_vader_publishes(text: str, compound: float) -> None:
    assert make_sentiment()(text) == compound


def test_it_reads_up_to_its_limit() -> None:
    assert make_sentiment()("x" * (SENTIMENT_CHARACTERS - 1) + " good") == 0.0


def test_consistency_is_with_whatever_is_asked_for(make_sample) -> None:
    sample = make_sample("a good day", "a bad day", source="a good day")
    by_source = SentimentConsistencySettings(against="source").build("s").score([sample])
    by_references = SentimentConsistencySettings().build("s").score([sample])
    assert by_source.values == (1.0,)
    assert by_references.values[0] < 0.6


def test_consistency_does_not_apply_where_nothing_is_felt(make_sample) -> None:
    neutral = make_sample("a good day", "a table", source="a good day")
    assert SentimentConsistencySettings().build("s").score([neutral]).values == (None,)
    assert SentimentConsistencySettings(against="source").build("s").score([neutral]).values == (
        1.0,
    )


def consistency(folder, **settings) -> SentimentConsistencySettings:
    classifier = SentimentClassifierSettings(model=str(folder), **LABELS, **settings)
    return SentimentConsistencySettings(classifier=classifier)


@pytest.mark.parametrize(
    ("probabilities", "neutral", "expected"),
    [
        ((0.2, 0.3, 0.5), 0.1, 1.0),
        ((0.2, 0.3, 0.5), 0.31, None),
        ((0.5, 0.3, 0.2), 0.1, 1.0),
        ((0.4, 0.12, 0.48), 0.1, None),
        ((0.4, 0.12, 0.48), 0.0, 1.0),
    ],
)
def test_by_a_classifier_small_differences_count_as_no_sentiment(
    save_classifier, tmp_path, make_sample, probabilities, neutral, expected
) -> None:
    logits = [math.log(one) for one in probabilities]
    save_classifier(tmp_path, ("NEG", "NEU", "POS"), logits)
    evaluator = consistency(tmp_path, neutral=neutral).build("s")
    assert evaluator.score([make_sample("a", "b")]).values == (expected,)


def test_by_a_classifier_the_candidate_is_held_against_the_mean_of_the_references(
    save_classifier, tmp_path, make_sample
) -> None:
    save_classifier(tmp_path, ("NEG", "NEU", "POS"))
    texts = ["two dogs play", "the cat sat on the mat", "a brown horse"]
    by_class = [
        ClassifierSettings(model=str(tmp_path), label=label)
        .build("c")
        .score([make_sample(text, "x") for text in texts])
        .values
        for label in ("POS", "NEG")
    ]
    s = [positive - negative for positive, negative in zip(*by_class, strict=True)]
    assert max(s) - min(s) > 0.05
    evaluator = consistency(tmp_path, neutral=0.0).build("s")
    expected = 1 - abs(s[0] - (s[1] + s[2]) / 2) / 2
    assert evaluator.score([make_sample(*texts)]).values == pytest.approx([expected], abs=1e-6)


def test_by_vader_the_signature_is_what_it_was() -> None:
    assert SentimentConsistencySettings().build("s").signature == (
        f"sentiment_consistency|against:references|version:goa-{__version__},vaderSentiment-3.3.2"
    )


def test_by_a_classifier_the_signature_names_it(save_classifier, tmp_path) -> None:
    save_classifier(tmp_path / "three", ("NEG", "NEU", "POS"))
    signature = consistency(tmp_path / "three").build("s").signature
    assert "|classifier:[model:three@sha256-" in signature
    assert consistency(tmp_path / "three", neutral=0.2).build("s").signature != signature


def test_one_label_for_both_sentiments_is_refused() -> None:
    classifier = {"model": "m", "positive": "POS", "negative": "POS"}
    with pytest.raises(SettingsError, match="positive and negative must be different labels"):
        validate(SentimentConsistencySettings, {"classifier": classifier}, "params.yaml")


@pytest.mark.parametrize(("against", "reads"), [("references", True), ("source", False)])
def test_scores_hang_on_references_unless_they_are_held_against_the_source(against, reads) -> None:
    assert ("references" in SentimentConsistencySettings(against=against).hangs_on) == reads
