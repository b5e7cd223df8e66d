"""chrF against sacrebleu."""

from itertools import zip_longest

import numpy as np
import pytest
import sacrebleu
from sacrebleu.metrics import CHRF

from goa.evaluators.chrf import Chrf, ChrfSettings, split_punctuation

EXACT = 1e-9
RECIPES = [{}, {"word_order": 2}, {"char_order": 3, "beta": 1}, {"lowercase": True}]


@pytest.mark.parametrize("recipe", RECIPES)
def test_sentences_agree_with_sacrebleu(samples, recipe) -> None:
    values = Chrf("chrf", ChrfSettings(**recipe)).score(samples).values
    theirs = CHRF(**recipe)
    expected = [
        theirs.sentence_score(s.candidate, list(s.example.references)).score / 100 for s in samples
    ]
    np.testing.assert_allclose(values, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("recipe", RECIPES)
def test_corpora_agree_with_sacrebleu(samples, recipe) -> None:
    chrf = Chrf("chrf", ChrfSettings(**recipe))
    streams = list(zip_longest(*(s.example.references for s in samples)))
    expected = CHRF(**recipe).corpus_score([s.candidate for s in samples], streams).score
    value = float(chrf.corpus(chrf.statistics(samples).sum(axis=0)))
    assert value == pytest.approx(expected / 100, abs=EXACT)


def test_chinese_text_is_scored(make_sample) -> None:
    near, far = (
        Chrf("chrf", ChrfSettings()).score([make_sample(text, "我们今天去公园")]).values[0]
        for text in ("我们今天去了公园", "下雨了")
    )
    assert near is not None
    assert far is not None
    assert near > far


def test_the_signature_is_sacrebleus() -> None:
    signature = Chrf("chrf", ChrfSettings(word_order=2)).signature
    version = sacrebleu.__version__
    assert signature == f"chrF2++|nrefs:var|case:mixed|eff:yes|nc:6|nw:2|space:no|version:{version}"


def test_the_signature_tells_every_setting() -> None:
    signature = Chrf("chrf", ChrfSettings(char_order=3, beta=1, lowercase=True)).signature
    version = sacrebleu.__version__
    assert signature == f"chrF1|nrefs:var|case:lc|eff:yes|nc:3|nw:0|space:no|version:{version}"


@pytest.mark.parametrize("word", ["", "a", ".", "ab", "a.", ".a", "..", ".a.", "a.b", "(ab", "ab)"])
def test_punctuation_is_cut_off_as_sacrebleu_cuts_it_off(word) -> None:
    expected = CHRF(word_order=2)._remove_punctuation(word)
    assert split_punctuation(word) == (expected or [word])
