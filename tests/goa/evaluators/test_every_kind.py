"""Laws that every evaluator obeys, whatever it measures."""

import contextlib
import functools
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goa.evaluators.bertscore import BertscoreSettings
from goa.evaluators.bleu import BleuSettings
from goa.evaluators.chrf import ChrfSettings
from goa.evaluators.classifier import ClassifierSettings
from goa.evaluators.composite import CompositePartSettings, CompositeSettings
from goa.evaluators.contract import Evaluator, checked_score
from goa.evaluators.discriminator import DiscriminatorSettings, EnergySettings
from goa.evaluators.distinct import DistinctSettings
from goa.evaluators.diversity import DiversitySettings
from goa.evaluators.format import FormatSettings
from goa.evaluators.length import LengthSettings
from goa.evaluators.python import PythonSettings
from goa.evaluators.relevance import EmbeddingsSettings, RelevanceSettings
from goa.evaluators.repetition import RepetitionSettings
from goa.evaluators.rouge import RougeSettings
from goa.evaluators.rule import RuleSettings
from goa.evaluators.sentiment import (
    SentimentClassifierSettings,
    SentimentConsistencySettings,
)
from goa.evaluators.table import Rewarding, build_evaluator
from goa.evaluators.ter import TerSettings
from goa.evaluators.tfidf import TfidfSettings
from goa.records import Example, Sample


def share_of_words(samples: Sequence[Sample], *, power: float) -> list[float]:
    """Stand for a function of the user's own: words of a text that a reference has, and back."""
    pairs = [(set(s.candidate.split()), set(s.example.references[0].split())) for s in samples]
    return [(len(a & b) / max(1, len(a | b))) ** power for a, b in pairs]


KINDS: dict[str, Rewarding] = {
    "bleu": BleuSettings(),
    "bleu_char": BleuSettings(tokenizer="char", smoothing="add-k", max_order=2),
    "chrf": ChrfSettings(word_order=2),
    "ter": TerSettings(normalized=True, asian_support=True),
    "rouge2": RougeSettings(variant="rouge2", references="mean"),
    "rougeL": RougeSettings(stemming=True),
    "rougeLsum": RougeSettings(variant="rougeLsum", measure="recall"),
    "rule": RuleSettings(against="both"),
    "relevance": RelevanceSettings(),
    "diversity": DiversitySettings(max_order=3),
    "diversity_entropy": DiversitySettings(measure="entropy"),
    "diversity_batch": DiversitySettings(within="batch"),
    "diversity_source": DiversitySettings(within="source"),
    "sentiment_consistency": SentimentConsistencySettings(),
    "distinct": DistinctSettings(),
    "repetition": RepetitionSettings(),
    "length": LengthSettings(tolerance=0.1),
    "length_of_source": LengthSettings(against="source", ratio=0.5),
    "format": FormatSettings(pattern=r"\P{Cc}*", contains=["a"], excludes=["é"], valid_json=True),
    "format_share": FormatSettings(contains=["A", "ß"], ignore_case=True, pays="share"),
    "python": PythonSettings(function=f"{__name__}:share_of_words", options={"power": 0.5}),
    "classifier": ClassifierSettings(model="classifier", label="good"),
    "classifier_of_pairs": ClassifierSettings(
        model="classifier", label="good", reads="candidate_with_reference", references="mean"
    ),
    "sentiment_by_classifier": SentimentConsistencySettings(
        classifier=SentimentClassifierSettings(
            model="classifier", positive="good", negative="bad", neutral=0.0
        )
    ),
    "tfidf": TfidfSettings(),
    "discriminator": DiscriminatorSettings(embedding=8, channels=8, buckets=64, epochs=1),
    "energy": EnergySettings(embedding=8, channels=8, buckets=64, epochs=1),
    "bertscore": BertscoreSettings(model="bert", num_layers=1),
    "composite": CompositeSettings(
        parts={
            "bleu": CompositePartSettings(weight=2.0, evaluator=BleuSettings()),
            "rule": CompositePartSettings(evaluator=RuleSettings()),
        },
    ),
    "composite_product": CompositeSettings(
        combine="product",
        parts={
            "relevance": CompositePartSettings(weight=2.0, evaluator=RelevanceSettings()),
            "repetition": CompositePartSettings(evaluator=RepetitionSettings()),
        },
    ),
    "composite_lexicographic": CompositeSettings(
        combine="lexicographic",
        parts={
            "repetition": CompositePartSettings(floor=0.7, evaluator=RepetitionSettings()),
            "chrf": CompositePartSettings(weight=2.0, evaluator=ChrfSettings()),
        },
    ),
    "composite_normalised": CompositeSettings(
        parts={
            "bleu": CompositePartSettings(normalise="z_score", evaluator=BleuSettings()),
            "chrf": CompositePartSettings(normalise="rank", evaluator=ChrfSettings()),
        },
    ),
}
if find_spec("sentence_transformers"):  # of the extra `embeddings`
    KINDS["relevance_by_embeddings"] = RelevanceSettings(
        embeddings=EmbeddingsSettings(model="sentences/encoder")
    )
LONG = {
    "one word": "a" * 100_000,
    "two words": "ab cd " * 16_667,
    "sentiment": "good x " * 14_286,
    "lines": "a\n" * 50_000,
    "emoji": "😀" * 100_000,
    "Chinese": "我" * 100_000,
}

words = st.sampled_from(["a", "man", "rides", "the", "horses", "horse", "good", "bad", ".", "我们"])
sentences = st.lists(words, max_size=8).map(" ".join)
anything = st.text(st.characters(), max_size=20)
texts = st.one_of(
    sentences, anything, st.sampled_from(["", " ", "\n", "😀", "مرحبا", "\x00\ud800"])
)
examples = st.builds(
    Example,
    id=st.sampled_from("ab"),
    source=texts,
    references=st.lists(texts, min_size=1, max_size=3).map(tuple),
)
batches = st.lists(
    st.builds(
        lambda example, written: [Sample(example=example, candidate=text) for text in written],
        examples,
        st.lists(texts, min_size=1, max_size=3),
    ),
    max_size=3,
).map(lambda sources: [sample for candidates in sources for sample in candidates])

ALONE = [kind for kind, recipe in KINDS.items() if "references" not in recipe.hangs_on]
LESSON = [
    Sample(
        example=Example(id=str(number), source="a", references=(text,)), candidate=f"{text} horse"
    )
    for number, text in enumerate(["a man rides", "the horses", "我们", "good", "a bad man"])
]
UNTRAINED = (
    "discriminator", "energy",
    "classifier_of_pairs", "sentiment_by_classifier", "relevance_by_embeddings", "bertscore",
)  # fmt: skip
"""What has random weights here, or too few lessons, to know what is close."""
REFERRING = [kind for kind in KINDS if kind not in (*ALONE, *UNTRAINED)]
ROUNDING = dict.fromkeys(["classifier", *UNTRAINED], 1e-6)
"""How far values may lie apart: a matrix product is rounded by how many rows it has."""
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module", autouse=True)
def _models(request, save_classifier, save_bert, tmp_path_factory) -> Iterator[None]:
    """Be where the models lie that the settings above name."""
    folder = tmp_path_factory.mktemp("models")
    save_classifier(folder / "classifier")
    save_bert(folder / "bert")
    if "relevance_by_embeddings" in KINDS:
        request.getfixturevalue("save_sentence_encoder")(folder / "sentences")
    with contextlib.chdir(folder):
        yield


def make(kind: str) -> Evaluator:
    """Build an evaluator; what has to learn first learns from a few sentences."""
    evaluator = build_evaluator(kind, KINDS[kind])
    for learner in evaluator.learners():
        learner.learn(LESSON, 1, anew=True)
    return evaluator


@functools.cache
def build(kind: str) -> Evaluator:
    return make(kind)


# What reads the batch compares its samples: taken apart, they have other scores.
SINGLE = [kind for kind in KINDS if not build(kind).reads_batch]
every_single_kind = pytest.mark.parametrize("kind", SINGLE)


def assert_same(kind: str, values: npt.ArrayLike, expected: npt.ArrayLike) -> None:
    """Hold values equal, exactly or up to a model's rounding; None is equal to None."""
    found, wanted = (np.asarray(each, dtype=float) for each in (values, expected))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=ROUNDING.get(kind, 0.0))


@every_kind
def test_any_text_has_values_that_keep_to_the_contract(kind: str) -> None:
    @settings(deadline=None, max_examples=25)
    @given(batches)
    def hold(samples: list[Sample]) -> None:
        scores = checked_score(build(kind), samples)
        for column in (scores.values, *scores.parts.values()):
            assert len(column) == len(samples)
            assert all(value is None or 0 <= value <= 1 for value in column)

    hold()


@every_kind
def test_permuting_samples_permutes_scores(kind: str) -> None:
    @settings(deadline=None, max_examples=25)
    @given(batches, st.randoms(use_true_random=False))
    def hold(samples: list[Sample], rng: random.Random) -> None:
        order = rng.sample(range(len(samples)), len(samples))
        values = checked_score(build(kind), samples).values
        permuted = checked_score(build(kind), [samples[row] for row in order]).values
        assert_same(kind, permuted, [values[row] for row in order])

    hold()


@every_single_kind
def test_what_was_scored_before_and_beside_a_sample_changes_nothing(kind: str, samples) -> None:
    fresh = make(kind)
    alone = [fresh.score([sample]).values[0] for sample in reversed(samples)]
    assert_same(kind, alone[::-1], checked_score(build(kind), samples).values)


@every_kind
def test_the_corpus_score_of_any_text_is_in_the_unit_interval(kind: str) -> None:
    @settings(deadline=None, max_examples=25)
    @given(batches.filter(bool))
    def hold(samples: list[Sample]) -> None:
        evaluator = build(kind)
        value = float(evaluator.corpus(evaluator.statistics(samples).sum(axis=0)))
        assert np.isnan(value) or 0 <= value <= 1 + 1e-12

    hold()


@pytest.mark.parametrize("kind", [kind for kind in SINGLE if kind != "distinct"])
def test_statistics_of_a_segment_do_not_hang_on_the_others(kind: str, samples) -> None:
    evaluator = build(kind)
    apart = np.concatenate([evaluator.statistics(samples[:5]), evaluator.statistics(samples[5:])])
    assert_same(kind, evaluator.statistics(samples), apart)


@every_kind
def test_no_samples_have_no_scores_and_statistics_of_full_width(kind: str, samples) -> None:
    evaluator = build(kind)
    assert checked_score(evaluator, []).values == ()
    width = evaluator.statistics(samples).shape[1]
    assert evaluator.statistics([]).shape == (0, width)


@every_kind
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=name, marks=[] if name == "lines" else pytest.mark.long)
        for name, text in LONG.items()
    ],
)
def test_a_hundred_thousand_characters_are_scored(kind: str, text: str, make_sample) -> None:
    values = checked_score(
        build(kind), [make_sample(text, "a good man rides"), make_sample(text, f"good {text}")]
    ).values
    assert None not in values


@pytest.mark.parametrize("kind", REFERRING)
def test_real_text_is_scored_higher_the_closer_it_is(kind: str, real_samples) -> None:
    near = checked_score(build(kind), real_samples).values
    moved = [
        Sample(example=sample.example, candidate=other.candidate)
        for sample, other in zip(real_samples, real_samples[1:] + real_samples[:1], strict=True)
    ]
    far = checked_score(build(kind), moved).values
    apply = [row for row, value in enumerate(near) if value is not None]
    assert len(apply) > 20
    # Sentiment tells captions of everyday scenes apart less than anything else does.
    margin = 0.03 if kind == "sentiment_consistency" else 0.1
    assert np.mean([near[row] for row in apply]) > np.mean([far[row] for row in apply]) + margin


@every_kind
def test_settings_say_what_the_evaluator_says_of_itself(kind: str) -> None:
    assert ("batch" in KINDS[kind].hangs_on) == build(kind).reads_batch
    assert ("chance" in KINDS[kind].hangs_on) == build(kind).draws


@every_kind
def test_other_references_change_the_scores_of_what_hangs_on_them_alone(
    kind: str, real_samples
) -> None:
    others = [
        Sample(
            example=replace(sample.example, references=other.example.references),
            candidate=sample.candidate,
        )
        for sample, other in zip(real_samples, real_samples[1:] + real_samples[:1], strict=True)
    ]
    found, changed = (checked_score(build(kind), each).values for each in (real_samples, others))
    if "references" in KINDS[kind].hangs_on:
        assert found != changed
    else:
        assert_same(kind, found, changed)
