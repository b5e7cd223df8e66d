"""Classifiers against plain transformers, one text at a time, and by hand."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from goa.errors import EvaluatorError, SettingsError
from goa.evaluators.classifier import ClassifierSettings
from goa.evaluators.contract import checked_score
from goa.settings import validate
from tests.bomb import plant

ROUNDING = 1e-6
THREE = [math.log(0.2), math.log(0.3), math.log(0.5)]
LABELS = ("negative", "neutral", "positive")


def score(folder, samples, **settings) -> tuple[float | None, ...]:
    evaluator = ClassifierSettings(model=str(folder), device="cpu", **settings).build("c")
    return checked_score(evaluator, samples).values


def theirs(folder, *texts: str) -> list[float]:
    """Ask transformers for the probabilities of one text or pair."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(**tokenizer(*texts, truncation=True, return_tensors="pt")).logits[0]
    return logits.softmax(-1).tolist()


@pytest.fixture(scope="module")
def folder(save_classifier, tmp_path_factory):
    return save_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.mark.parametrize(
    ("label", "expected"), [("negative", 0.2), ("neutral", 0.3), ("positive", 0.5), (1, 0.3)]
)
def test_the_score_is_the_probability_of_the_label(
    save_classifier, tmp_path, make_sample, label, expected
) -> None:
    save_classifier(tmp_path, LABELS, THREE)
    values = score(tmp_path, [make_sample("a good day", "x")], label=label)
    assert values == pytest.approx([expected], abs=ROUNDING)


def test_real_candidates_have_the_probabilities_of_transformers(folder, samples) -> None:
    expected = [theirs(folder, sample.candidate)[1] for sample in samples]
    values = score(folder, samples, label="good", batch_size=4)
    assert values == pytest.approx(expected, abs=ROUNDING)
    assert max(values) - min(values) > 0.1


def test_of_a_pair_the_context_comes_first(folder, make_sample) -> None:
    sample = make_sample("two dogs play", "the cat sat", "a brown horse", source="on the mat")
    by_source = score(folder, [sample], label="good", reads="candidate_with_source")
    assert by_source == pytest.approx([theirs(folder, "on the mat", "two dogs play")[1]], abs=1e-6)
    pairs = [
        theirs(folder, reference, "two dogs play")[1] for reference in sample.example.references
    ]
    settings = {"label": "good", "reads": "candidate_with_reference"}
    assert score(folder, [sample], **settings) == pytest.approx([max(pairs)], abs=1e-6)
    mean = score(folder, [sample], **settings, references="mean")
    assert mean == pytest.approx([sum(pairs) / 2], abs=1e-6)
    assert abs(pairs[0] - pairs[1]) > 1e-3


@pytest.mark.parametrize(
    ("raw", "settings", "expected"),
    [
        (math.log(3), {}, 0.75),
        (math.log(3), {"activation": "sigmoid"}, 0.75),
        (2.0, {"activation": "none", "low": 0.0, "high": 5.0}, 0.4),
        (7.0, {"activation": "none", "low": 0.0, "high": 5.0}, 1.0),
        (-1.0, {"activation": "none", "low": 0.0, "high": 5.0}, 0.0),
        (0.0, {"activation": "none", "low": -2.0, "high": 2.0}, 0.5),
    ],
)
def test_a_regressor_is_mapped_to_the_unit_interval(
    save_classifier, tmp_path, make_sample, raw, settings, expected
) -> None:
    save_classifier(tmp_path, ("score",), [raw])
    values = score(tmp_path, [make_sample("a", "b")], **settings)
    assert values == pytest.approx([expected], abs=ROUNDING)


def test_labels_that_do_not_exclude_one_another_have_probabilities_of_their_own(
    save_classifier, tmp_path, make_sample
) -> None:
    save_classifier(tmp_path, LABELS, [0.0, 9.0, math.log(3)], "multi_label_classification")
    values = score(tmp_path, [make_sample("a", "b")], label="positive")
    assert values == pytest.approx([0.75], abs=ROUNDING)


def test_a_long_text_is_cut_at_the_tokens_that_are_allowed(folder, make_sample) -> None:
    # Each word is a token, and two mark the ends.
    cut, whole = make_sample("the " * 6, "x"), make_sample("the " * 500, "x")
    values = score(folder, [cut, whole], label="good", max_tokens=8)
    assert values[0] == values[1] == pytest.approx(theirs(folder, "the " * 6)[1], abs=ROUNDING)
    assert score(folder, [whole], label="good") != pytest.approx(values[1:], abs=1e-3)


def test_a_text_is_cut_at_the_positions_that_a_model_has(other_shape, make_sample) -> None:
    texts = ["the cat " * 7, "the cat " * 7 + "mat", "the cat " * 500]
    expected = theirs(other_shape, texts[0])[1]
    values = score(other_shape, [make_sample(text, "x") for text in texts], label=1)
    assert values == pytest.approx([expected] * 3, abs=ROUNDING)
    shorter = score(other_shape, [make_sample("the cat " * 6 + "the", "x")], label=1)
    assert shorter != pytest.approx([expected], abs=1e-3)


def test_texts_of_equal_length_are_read_where_a_model_has_no_padding(
    other_shape, make_sample
) -> None:
    texts = ["the cat on the mat", "on the cat the mat", "the mat on the cat"]
    values = score(other_shape, [make_sample(text, "x") for text in texts], label=1)
    expected = [theirs(other_shape, text)[1] for text in texts]
    assert values == pytest.approx(expected, abs=ROUNDING)


def test_a_model_saved_in_half_precision_is_run_in_single(folder, make_sample, tmp_path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    model = AutoModelForSequenceClassification.from_pretrained(folder).bfloat16()
    model.save_pretrained(tmp_path)
    values = score(tmp_path, [make_sample("two dogs play", "x")], label="good")
    assert values == pytest.approx([theirs(tmp_path, "two dogs play")[1]], abs=ROUNDING)


@pytest.mark.parametrize(("source", "candidate"), [(5, 90), (90, 5), (40, 40), (500, 500)])
def test_long_pairs_are_cut_as_transformers_cuts_them(
    folder, make_sample, source, candidate
) -> None:
    texts = ["the cat on " * source, "two dogs play " * candidate]
    sample = make_sample(texts[1], "x", source=texts[0])
    values = score(folder, [sample], label="good", reads="candidate_with_source")
    assert values == pytest.approx([theirs(folder, *texts)[1]], abs=ROUNDING)


def test_one_text_at_a_time_is_exactly_the_same_in_any_batch(folder, samples) -> None:
    together = score(folder, samples, label="good", batch_size=1)
    apart = [score(folder, [sample], label="good", batch_size=1)[0] for sample in samples]
    assert list(together) == apart


def test_the_signature_follows_what_is_in_the_files_and_not_where_they_lie(
    folder, save_classifier, tmp_path
) -> None:
    def sign(where, **settings) -> str:
        return ClassifierSettings(model=str(where), label="good", **settings).build("c").signature

    same = shutil.copytree(folder, tmp_path / folder.name)
    assert sign(same) == sign(folder)
    assert str(tmp_path) not in sign(same)
    assert sign(folder, max_tokens=9) != sign(folder)
    save_classifier(same, logits=[0.0, 1.0])
    changed = sign(same)
    assert changed != sign(folder)
    (same / "tokenizer_config.json").write_text("{}")
    assert sign(same) != changed


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Keep models of the hub that were downloaded before; nothing else can be had."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def keep(ref: str, commit: str) -> Path:
        model = tmp_path / "models--someone--something"
        (model / "refs").mkdir(parents=True, exist_ok=True)
        (model / "refs" / ref).write_text(commit)
        return model / "snapshots" / commit

    return keep


def test_a_name_on_the_hub_is_signed_by_its_commit(
    folder, cached, save_classifier, make_sample
) -> None:
    newest, older = "0" * 39 + "7", "0" * 39 + "5"
    shutil.copytree(folder, cached("main", newest))
    save_classifier(cached("v1", older), logits=[0.0, math.log(3)])
    evaluator = ClassifierSettings(model="someone/something", label="good").build("c")
    assert f"model:someone/something@{newest}" in evaluator.signature
    sample = make_sample("a", "b")
    expected = score(folder, [sample], label="good")
    assert evaluator.score([sample]).values == pytest.approx(expected, abs=ROUNDING)
    first = ClassifierSettings(model="someone/something", label="good", revision="v1").build("c")
    assert f"model:someone/something@{older}" in first.signature
    assert first.score([sample]).values == pytest.approx([0.75], abs=ROUNDING)


def test_a_model_of_the_hub_without_safetensors_is_told(cached, make_sample, tmp_path) -> None:
    snapshot = cached("main", "1" * 40)
    snapshot.mkdir(parents=True)
    plant(snapshot / "pytorch_model.bin", tmp_path / "opened")
    with pytest.raises(EvaluatorError, match="no safetensors weights in this folder; save"):
        score("someone/something", [make_sample("a", "b")], label="good")
    assert not (tmp_path / "opened").exists()


def test_halves_of_characters_are_read_as_question_marks(folder, make_sample) -> None:
    texts = ["two \ud800 dogs", "two ? dogs", "two dogs"]
    values = score(folder, [make_sample(text, "x") for text in texts], label="good")
    assert values[0] == values[1]
    assert values[0] != pytest.approx(values[2], abs=1e-3)


def test_building_looks_for_nothing() -> None:
    ClassifierSettings(model="not/here", label="good").build("c").score([])


@pytest.mark.usefixtures("cached")
def test_a_model_that_is_nowhere_is_told(make_sample) -> None:
    with pytest.raises(EvaluatorError, match="evaluator c: out/nowhere: neither a folder here"):
        score("out/nowhere", [make_sample("a", "b")], label="good")


def test_a_folder_without_safetensors_is_told(make_sample, tmp_path) -> None:
    with pytest.raises(EvaluatorError, match="no safetensors weights in this folder; save"):
        score(tmp_path, [make_sample("a", "b")], label="good")


def test_a_pickle_beside_other_weights_is_told_and_not_opened(
    folder, make_sample, tmp_path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "module").mkdir()
    plant(tmp_path / "module" / "pytorch_model.bin", tmp_path / "opened")
    with pytest.raises(
        EvaluatorError, match=r"module/pytorch_model\.bin: a pickle, which goa does"
    ):
        score(tmp_path, [make_sample("a", "b")], label=0)
    assert not (tmp_path / "opened").exists()


def test_a_model_without_a_classifier_on_top_is_refused(save_bert, make_sample, tmp_path) -> None:
    save_bert(tmp_path)
    with pytest.raises(EvaluatorError, match="it has no weights for classifier.bias"):
        score(tmp_path, [make_sample("a", "b")], label=0)


def test_files_that_are_no_model_are_told(folder, make_sample, tmp_path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(EvaluatorError, match="cannot be loaded by AutoModelForSequence"):
        score(tmp_path, [make_sample("a", "b")], label=0)


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("god", "'god' is none of its labels bad, good, .*did you mean good?"),
        (2, "2 is none of its labels"),
        (None, "None is none of its labels"),
    ],
)
def test_a_label_that_is_not_there_is_told(folder, make_sample, label, told) -> None:
    with pytest.raises(EvaluatorError, match=told):
        score(folder, [make_sample("a", "b")], label=label)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"activation": "none", "low": 1.0, "high": 1.0}, "low must be below high"),
        ({"high": 5.0}, "low and high are of raw outputs"),
    ],
)
def test_a_range_that_means_nothing_is_refused(settings, told) -> None:
    with pytest.raises(SettingsError, match=told):
        validate(ClassifierSettings, {"model": "m", **settings}, "params.yaml")


def test_a_pickle_beside_safetensors_is_left_alone(folder, make_sample, tmp_path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    plant(tmp_path / "pytorch_model.bin", tmp_path / "opened")
    sample = make_sample("two dogs play", "x")
    assert score(tmp_path, [sample], label=0) == score(folder, [sample], label=0)
    assert not (tmp_path / "opened").exists()


def test_models_are_told_which_text_of_a_pair_a_token_is_of(folder, make_sample, tmp_path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tokenizer_config.json"
    names = ["input_ids", "token_type_ids", "attention_mask"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_input_names": names}))
    sample = make_sample("two dogs play", "x", source="on the mat")
    settings = {"label": "good", "reads": "candidate_with_source"}
    values = score(tmp_path, [sample], **settings)
    expected = theirs(tmp_path, "on the mat", "two dogs play")[1]
    assert values == pytest.approx([expected], abs=ROUNDING)
    assert score(folder, [sample], **settings) != pytest.approx([expected], abs=1e-3)


def test_a_text_without_any_token_is_read_as_one_that_stands_for_it(
    folder, make_sample, tmp_path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"post_processor": None}))
    blank, padding = make_sample("", "x"), make_sample("[PAD]", "x")
    values = score(tmp_path, [blank, padding, make_sample("a", "x")], label="good")
    assert values[0] == values[1]
    assert values[0] != pytest.approx(values[2], abs=1e-3)
