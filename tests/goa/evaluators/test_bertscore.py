"""BERTScore against bert-score, and by hand."""

import pytest
import torch

from goa.errors import EvaluatorError
from goa.evaluators.bertscore import BertscoreSettings, _States, compare

ROUNDING = 1e-5


@pytest.fixture(scope="module")
def folder(save_bert, tmp_path_factory):
    return save_bert(tmp_path_factory.mktemp("bert"))


def score(folder, samples, **settings) -> tuple[float | None, ...]:
    settings = {"num_layers": 1, "device": "cpu"} | settings
    return BertscoreSettings(model=str(folder), **settings).build("b").score(samples).values


def states(*vectors: tuple[float, float], counts: list[bool]) -> _States:
    return _States(vectors=torch.tensor(vectors), counts=torch.tensor(counts))


def test_each_token_has_its_closest_as_worked_by_hand() -> None:
    candidate = states((1.0, 0.0), (0.6, 0.8), counts=[True, True])
    reference = states((1.0, 0.0), (0.0, 1.0), (0.8, 0.6), counts=[True, True, False])
    # Candidate: 1 and max(0.6, 0.8, 0.96). Reference: 1 and max(0, 0.8); its mark counts not.
    match = compare(reference, candidate)
    assert match.precision == pytest.approx(0.98)
    assert match.recall == pytest.approx(0.9)
    assert match.fmeasure == pytest.approx(2 * 0.98 * 0.9 / 1.88)


def test_of_nothing_there_is_no_match() -> None:
    mark = states((1.0, 0.0), counts=[False])
    word = states((1.0, 0.0), counts=[True])
    assert compare(mark, word) == compare(word, mark) == compare(None, word) == (0.0, 0.0, 0.0)


def test_texts_that_have_nothing_in_common_score_zero() -> None:
    word, other = states((1.0, 0.0), counts=[True]), states((0.0, 1.0), counts=[True])
    assert compare(word, other) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("measure", ["precision", "recall", "fmeasure"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_it_agrees_with_bert_score(folder, samples, num_layers, measure, monkeypatch) -> None:
    package = pytest.importorskip("bert_score")
    # The package takes a path with "t5" in it for a T5.
    monkeypatch.chdir(folder)
    scorer = package.BERTScorer(model_type=".", num_layers=num_layers, device="cpu")
    column = ["precision", "recall", "fmeasure"].index(measure)
    # The package fails on blank texts with transformers 5.
    whole = [
        sample
        for sample in samples
        if all(text.strip() for text in (sample.candidate, *sample.example.references))
    ]
    expected = [
        max(scorer.score([sample.candidate], [text])[column].item() for text in references)
        for sample in whole
        for references in [sample.example.references]
    ]
    values = score(folder, whole, num_layers=num_layers, measure=measure, batch_size=3)
    assert values == pytest.approx([max(0.0, one) for one in expected], abs=ROUNDING)
    assert len(whole) > 10


@pytest.mark.parametrize(
    ("candidate", "reference"), [("", "a"), ("a", ""), (" \n", "\t"), ("", "")]
)
def test_a_blank_text_scores_zero(folder, make_sample, candidate, reference) -> None:
    assert score(folder, [make_sample(candidate, reference)]) == (0.0,)


def test_of_several_references_the_best_counts(folder, make_sample) -> None:
    sample = make_sample("two dogs play", "the cat sat on the mat", "two dogs play")
    assert score(folder, [sample]) == pytest.approx((1.0,))


def test_scores_are_stretched_from_the_baseline_to_one(folder, make_sample) -> None:
    sample = make_sample("two dogs play", "the cat sat on the mat")
    (raw,) = score(folder, [sample])
    assert 0.1 < raw < 0.95
    stretched = score(folder, [sample], baseline=raw / 2)
    assert stretched == pytest.approx([(raw - raw / 2) / (1 - raw / 2)], abs=ROUNDING)
    assert score(folder, [sample], baseline=raw + 0.01) == (0.0,)


def test_more_layers_than_there_are_is_told(folder, make_sample) -> None:
    with pytest.raises(EvaluatorError, match="it has no weights for .*layer.2"):
        score(folder, [make_sample("a", "b")], num_layers=3)


def test_weights_of_a_pooler_may_be_missing(save_bert, folder, samples, tmp_path) -> None:
    assert score(save_bert(tmp_path, pooler=False), samples) == score(folder, samples)


def test_the_signature_names_the_model_by_its_contents(folder) -> None:
    signature = BertscoreSettings(model=str(folder), num_layers=1).build("b").signature
    assert signature.startswith(f"bertscore|model:{folder.name}@sha256-")
    assert "|num_layers:1|measure:fmeasure|baseline:0.0|" in signature
