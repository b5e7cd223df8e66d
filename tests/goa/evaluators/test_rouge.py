"""ROUGE against rouge-score."""

from importlib.metadata import version

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer, _lcs_table

import goa.evaluators.rouge
from goa.errors import SettingsError
from goa.evaluators.rouge import Rouge, RougeSettings, cut_lines, longest_common_subsequence
from goa.settings import validate

EXACT = 1e-9
VARIANTS = ["rouge1", "rouge2", "rouge3", "rouge9", "rougeL", "rougeLsum"]
MEASURES = ["fmeasure", "precision", "recall"]

words = st.lists(
    st.sampled_from(["a", "b", "c", "walks", "walking", "was", "wa", "ares", "3", "ü", "\n"]),
    max_size=12,
)


def theirs(sample, settings: RougeSettings) -> float:
    """Score a sample with rouge-score itself."""
    scorer = RougeScorer([settings.variant], use_stemmer=settings.stemming)
    references = sample.example.references
    if settings.references == "max":
        best = scorer.score_multi(references, sample.candidate)[settings.variant]
        return getattr(best, settings.measure)
    every = [scorer.score(reference, sample.candidate) for reference in references]
    return sum(getattr(one[settings.variant], settings.measure) for one in every) / len(every)


@pytest.mark.parametrize("references", ["max", "mean"])
@pytest.mark.parametrize("stemming", [False, True])
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_agrees_with_rouge_score(samples, variant, measure, stemming, references) -> None:
    settings = RougeSettings(
        variant=variant, measure=measure, stemming=stemming, references=references
    )
    values = Rouge("rouge", settings).score(samples).values
    expected = [theirs(sample, settings) for sample in samples]
    np.testing.assert_allclose(values, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("variant", VARIANTS)
def test_real_text_agrees_with_rouge_score(real_samples, variant) -> None:
    settings = RougeSettings(variant=variant, stemming=True)
    values = Rouge("rouge", settings).score(real_samples).values
    expected = [theirs(sample, settings) for sample in real_samples]
    np.testing.assert_allclose(values, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("variant", ["rouge2", "rougeL", "rougeLsum"])
def test_any_words_agree_with_rouge_score(make_sample, variant) -> None:
    settings = RougeSettings(variant=variant, stemming=True)
    rouge = Rouge("rouge", settings)

    @given(words, words)
    def agree(reference: list[str], candidate: list[str]) -> None:
        sample = make_sample(" ".join(candidate), " ".join(reference))
        assert rouge.score([sample]).values[0] == pytest.approx(theirs(sample, settings), abs=EXACT)

    agree()


@given(words, words)
def test_the_longest_common_subsequence_is_that_of_the_table(first, second) -> None:
    assert longest_common_subsequence(first, second) == _lcs_table(first, second)[-1][-1]


def test_subsequences_longer_than_a_machine_word_are_counted() -> None:
    tokens = [str(number % 7) for number in range(300)]
    assert longest_common_subsequence(tokens, [*tokens[:100], "x", *tokens[200:]]) == 200


def test_a_hand_worked_case(make_sample) -> None:
    # Common subsequence: police ... the gunman, 3 of 4 words on both sides (Lin, 2004).
    sample = make_sample("police kill the gunman", "police killed the gunman")
    assert Rouge("rouge", RougeSettings()).score([sample]).values == (0.75,)


def test_of_several_references_the_one_of_highest_f_measure_speaks(make_sample) -> None:
    # The short reference has recall 1, but F = 2/5; the long one has F = 3/4.
    sample = make_sample("a b c d", "a", "a b c x")
    rouge = Rouge("rouge", RougeSettings(variant="rouge1", measure="recall"))
    assert rouge.score([sample]).values == (0.75,)


def test_a_summary_is_read_up_to_its_limit(make_sample, monkeypatch) -> None:
    monkeypatch.setattr(goa.evaluators.rouge, "SUMMARY_WORDS", 3)
    rouge = Rouge("rouge", RougeSettings(variant="rougeLsum"))
    assert rouge.score([make_sample("a b\na b\nx", "a b\na c\ny")]).values == (1.0,)


def test_a_summary_is_cut_within_a_line_and_has_no_empty_ones(monkeypatch) -> None:
    monkeypatch.setattr(goa.evaluators.rouge, "SUMMARY_WORDS", 3)
    assert cut_lines([[1, 2], [], [3, 4, 5], [6]]) == [[1, 2], [3]]


def test_three_letters_are_no_stem_and_four_are(make_sample) -> None:
    rouge = Rouge("rouge", RougeSettings(variant="rouge1", stemming=True))
    samples = [make_sample("ties", "tie"), make_sample("was", "wa")]
    assert rouge.score(samples).values == tuple(
        theirs(sample, RougeSettings(variant="rouge1", stemming=True)) for sample in samples
    )
    assert rouge.score(samples[1:]).values == (0.0,)


@pytest.mark.parametrize("variant", ["rouge1", "rougeL", "rougeLsum"])
def test_by_the_tokenizer_for_words_every_script_counts(make_sample, variant) -> None:
    rouge = Rouge("rouge", RougeSettings(variant=variant, tokenizer="words"))
    samples = [make_sample("我们去", "我们在"), make_sample("Ça va bien", "ça va mal")]
    assert rouge.score(samples).values == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_other_scripts_score_zero_as_they_do_in_rouge_score(make_sample) -> None:
    assert Rouge("rouge", RougeSettings()).score([make_sample("我们", "我们")]).values == (0.0,)


def test_the_signature_names_every_setting_and_the_library() -> None:
    assert Rouge("rouge", RougeSettings(stemming=True)).signature == (
        "rouge|variant:rougeL|measure:fmeasure|stemming:yes|tokenizer:rouge|references:max"
        f"|version:rouge-score-{version('rouge-score')},nltk-{version('nltk')}"
    )


def test_stems_of_every_script_are_refused() -> None:
    with pytest.raises(SettingsError, match="the Porter stemmer is for English: leave stemming"):
        validate(RougeSettings, {"stemming": True, "tokenizer": "words"}, "here")
