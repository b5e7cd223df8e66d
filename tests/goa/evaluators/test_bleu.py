"""BLEU against sacrebleu."""

from itertools import zip_longest

import numpy as np
import pytest
import sacrebleu
from sacrebleu.metrics import BLEU

from goa.errors import SettingsError
from goa.evaluators.bleu import Bleu, BleuSettings
from goa.settings import validate

EXACT = 1e-9
RECIPES = [
    ({}, {}),
    ({"lowercase": True}, {"lowercase": True}),
    ({"max_order": 2}, {"max_ngram_order": 2}),
    ({"tokenizer": "intl"}, {"tokenize": "intl"}),
    ({"tokenizer": "zh"}, {"tokenize": "zh"}),
    ({"tokenizer": "char"}, {"tokenize": "char"}),
    ({"smoothing": "none"}, {"smooth_method": "none"}),
    ({"smoothing": "floor"}, {"smooth_method": "floor"}),
    (
        {"smoothing": "add-k", "smoothing_value": 0.5},
        {"smooth_method": "add-k", "smooth_value": 0.5},
    ),
]


def streams(samples):
    """Lay references out as sacrebleu wants them: stream by stream, None where there is none."""
    return list(zip_longest(*(sample.example.references for sample in samples)))


def candidates(samples):
    return [sample.candidate for sample in samples]


def corpus_value(evaluator, samples) -> float:
    return float(evaluator.corpus(evaluator.statistics(samples).sum(axis=0)))


@pytest.mark.parametrize(("settings", "arguments"), RECIPES)
def test_sentences_agree_with_sacrebleu(samples, settings, arguments) -> None:
    values = Bleu("bleu", BleuSettings(**settings)).score(samples).values
    theirs = BLEU(effective_order=True, **arguments)
    expected = [
        theirs.sentence_score(s.candidate, list(s.example.references)).score / 100 for s in samples
    ]
    np.testing.assert_allclose(values, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize(("settings", "arguments"), RECIPES)
def test_corpora_agree_with_sacrebleu(samples, settings, arguments) -> None:
    expected = BLEU(**arguments).corpus_score(candidates(samples), streams(samples)).score / 100
    ours = corpus_value(Bleu("bleu", BleuSettings(**settings)), samples)
    assert ours == pytest.approx(expected, abs=EXACT)


def test_the_defaults_are_those_of_sacrebleus_functions(samples) -> None:
    bleu = Bleu("bleu", BleuSettings())
    sentence, whole = samples[0], samples[:8]
    value = sacrebleu.sentence_bleu(sentence.candidate, list(sentence.example.references)).score
    assert bleu.score([sentence]).values[0] == pytest.approx(value / 100, abs=EXACT)
    corpus = sacrebleu.corpus_bleu(candidates(whole), streams(whole)).score
    assert corpus_value(bleu, whole) == pytest.approx(corpus / 100, abs=EXACT)


def test_without_effective_order_short_sentences_agree_too(make_sample) -> None:
    bleu = Bleu("bleu", BleuSettings(effective_order=False, smoothing="none"))
    assert bleu.score([make_sample("two words", "two words")]).values == (0.0,)


def test_real_text_agrees_with_sacrebleu(real_samples) -> None:
    bleu = Bleu("bleu", BleuSettings())
    expected = [
        sacrebleu.sentence_bleu(s.candidate, list(s.example.references)).score / 100
        for s in real_samples
    ]
    np.testing.assert_allclose(bleu.score(real_samples).values, expected, rtol=0, atol=EXACT)
    corpus = sacrebleu.corpus_bleu(candidates(real_samples), streams(real_samples)).score
    assert corpus_value(bleu, real_samples) == pytest.approx(corpus / 100, abs=EXACT)


def test_each_row_of_sums_is_scored_by_itself(samples) -> None:
    bleu = Bleu("bleu", BleuSettings())
    sums = np.stack(
        [bleu.statistics(samples[:4]).sum(axis=0), bleu.statistics(samples).sum(axis=0)]
    )
    expected = [corpus_value(bleu, samples[:4]), corpus_value(bleu, samples)]
    np.testing.assert_array_equal(bleu.corpus(sums), expected)
    assert bleu.corpus(sums[:0]).shape == (0,)


def test_a_corpus_of_short_sentences_has_no_effective_order(make_sample) -> None:
    samples = [make_sample("two words", "two words"), make_sample("one more", "one more")]
    bleu = Bleu("bleu", BleuSettings(smoothing="none"))
    assert bleu.score(samples).values == (1.0, 1.0)
    assert corpus_value(bleu, samples) == 0.0


def test_an_empty_reference_may_be_the_closest_in_length(make_sample) -> None:
    sample = make_sample("a b", "", "a b x x x x")
    expected = sacrebleu.sentence_bleu(sample.candidate, list(sample.example.references)).score
    value = Bleu("bleu", BleuSettings()).score([sample]).values[0]
    assert value == pytest.approx(expected / 100, abs=EXACT)
    assert value > 0.9  # 2 words are nearer to none than to 6, and so not too few


@pytest.mark.parametrize(
    "text",
    ["say &quot;yes&quot; &amp; go", "1 &lt; 2 &gt; 0", "a <skipped> b", "hyphen-\nated word"],
)
def test_what_13a_undoes_is_undone(make_sample, text) -> None:
    sample = make_sample(text, 'say "yes" & go 1 < 2 > 0 a b hyphenated word')
    expected = sacrebleu.sentence_bleu(sample.candidate, list(sample.example.references)).score
    value = Bleu("bleu", BleuSettings()).score([sample]).values[0]
    assert value == pytest.approx(expected / 100, abs=EXACT)


def test_an_equal_text_scores_one_and_an_empty_one_zero(make_sample) -> None:
    bleu = Bleu("bleu", BleuSettings())
    text = "a man rides a brown horse"
    assert bleu.score([make_sample(text, text), make_sample("", text)]).values == (1.0, 0.0)


def test_the_signature_is_sacrebleus_and_says_what_it_leaves_out() -> None:
    signature = Bleu("bleu", BleuSettings(lowercase=True)).signature
    assert signature == (
        "BLEU|nrefs:var|case:lc|eff:no|tok:13a|smooth:exp"
        f"|version:{sacrebleu.__version__}|order:4|sentence_eff:yes"
    )


def test_the_signature_tells_how_zeros_are_smoothed() -> None:
    settings = BleuSettings(smoothing="floor", smoothing_value=0.5, effective_order=False)
    signature = Bleu("bleu", settings).signature
    assert "|smooth:floor[0.50]|" in signature
    assert signature.endswith("|order:4|sentence_eff:no")


def test_a_smoothing_value_without_meaning_is_refused() -> None:
    with pytest.raises(SettingsError, match="smoothing_value has no meaning for smoothing exp"):
        validate(BleuSettings, {"kind": "bleu", "smoothing_value": 0.1}, "params.yaml")
