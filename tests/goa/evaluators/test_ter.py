"""TER against sacrebleu."""

from itertools import zip_longest

import numpy as np
import pytest
import sacrebleu
from sacrebleu.metrics import TER

from goa.evaluators.ter import Ter, TerSettings

EXACT = 1e-9
RECIPES = [
    {},
    {"normalized": True, "asian_support": True},
    {"no_punct": True},
    {"case_sensitive": True},
]


def turn(ter: float) -> float:
    return 1 - min(1.0, ter / 100)


@pytest.mark.parametrize("recipe", RECIPES)
def test_sentences_agree_with_sacrebleu(samples, recipe) -> None:
    values = Ter("ter", TerSettings(**recipe)).score(samples).values
    theirs = TER(**recipe)
    expected = [
        turn(theirs.sentence_score(s.candidate, list(s.example.references)).score) for s in samples
    ]
    np.testing.assert_allclose(values, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("recipe", RECIPES)
def test_corpora_agree_with_sacrebleu(samples, recipe) -> None:
    ter = Ter("ter", TerSettings(**recipe))
    streams = list(zip_longest(*(s.example.references for s in samples)))
    expected = TER(**recipe).corpus_score([s.candidate for s in samples], streams).score
    assert 0 < expected < 100
    value = float(ter.corpus(ter.statistics(samples).sum(axis=0)))
    assert value == pytest.approx(turn(expected), abs=EXACT)


def test_real_text_agrees_with_sacrebleu(real_samples) -> None:
    theirs = TER()
    expected = [
        turn(theirs.sentence_score(s.candidate, list(s.example.references)).score)
        for s in real_samples
    ]
    values = Ter("ter", TerSettings()).score(real_samples).values
    np.testing.assert_allclose(values, expected, rtol=0, atol=EXACT)


def test_each_row_of_sums_is_scored_by_itself() -> None:
    sums = np.array([[[1.0, 4.0], [3.0, 4.0]], [[0.0, 5.0], [9.0, 5.0]], [[2.0, 4.0], [1.0, 5.0]]])
    expected = [[0.75, 0.25], [1.0, 0.0], [0.5, 0.8]]
    np.testing.assert_allclose(Ter("ter", TerSettings()).corpus(sums), expected, atol=EXACT)


def test_one_shift_is_one_edit(make_sample) -> None:
    shifted = make_sample("on the mat the cat sat", "the cat sat on the mat")
    assert Ter("ter", TerSettings()).score([shifted]).values == (pytest.approx(1 - 1 / 6),)


def test_more_edits_than_words_score_zero_not_less(make_sample) -> None:
    assert Ter("ter", TerSettings()).score([make_sample("a b c d", "x")]).values == (0.0,)


def test_two_empty_texts_score_one(make_sample) -> None:
    assert Ter("ter", TerSettings()).score([make_sample("", "")]).values == (1.0,)


def test_words_beyond_the_limit_are_not_read(make_sample) -> None:
    ter = Ter("ter", TerSettings(max_words=3))
    long = make_sample("a b c d e f", "a b c x y z", "q r s")
    np.testing.assert_array_equal(ter.statistics([long]), [[0.0, 3.0]])


def test_the_signature_is_sacrebleus_and_names_the_limit() -> None:
    assert Ter("ter", TerSettings()).signature == (
        "1-TER|nrefs:var|case:lc|tok:tercom|norm:no|punct:yes|asian:no"
        f"|version:{sacrebleu.__version__}|max_words:200"
    )


def test_the_edits_of_a_text_are_searched_for_once(samples, monkeypatch) -> None:
    ter = Ter("ter", TerSettings())
    searched: list[str] = []
    search = ter._metric._compute_segment_statistics

    def counted(candidate: str, prepared: dict[str, object]) -> list[float]:
        searched.append(candidate)
        return list(search(candidate, prepared))

    monkeypatch.setattr(ter._metric, "_compute_segment_statistics", counted)
    first = ter.score(samples), ter.statistics(samples)
    assert len(searched) == len({(s.candidate, s.example.references) for s in samples})
    fresh = Ter("ter", TerSettings())
    assert first[0] == fresh.score(samples)
    np.testing.assert_array_equal(first[1], fresh.statistics(samples))
