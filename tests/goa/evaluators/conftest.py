"""Samples to score, hand-made and real."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from goa.records import Example, Sample

MULTI30K = Path(__file__).parents[4] / "shared" / "data" / "multi30k"

SENTENCES = [
    ("A man rides a horse .", ["A man is riding a horse .", "Someone rides a brown horse ."]),
    ("the the the the", ["the cat is on the mat"]),
    ("Two dogs play.", ["Two dogs play."]),
    ("TWO DOGS PLAY!", ["two dogs play!", "Dogs, two of them, are playing!", "Play, dogs!"]),
    ("It wasn't bad, it's 3.5 stars & more", ['She said: "it was not bad", 3.5 stars and more']),
    ("a", ["a much longer reference than the candidate ever was"]),
    ("a candidate that goes on for much longer than what was asked for", ["short"]),
    ("on the mat the cat sat", ["the cat sat on the mat"]),
    ("", ["nothing was written"]),
    ("something was written", [""]),
    ("   ", ["only spaces"]),
    ("我们今天去公园", ["我们今天去了公园。", "今天我们去公园"]),
    ("مرحبا بالعالم", ["مرحبا بكم في العالم"]),
    ("good 😀 day", ["good 😀😀 day"]),
    ("line\nafter\tline", ["line after line"]),
    ("walking walked walks\ngenerously", ["he walks and walked\nwith generosity\nwalking"]),
]
"""(candidate, references): equal, longer, shorter, empty, several references, other scripts."""


def _sample(candidate: str, *references: str, source: str = "", key: str = "1") -> Sample:
    example = Example(id=key, source=source, references=references)
    return Sample(example=example, candidate=candidate)


@pytest.fixture(scope="session")
def make_sample() -> Callable[..., Sample]:
    return _sample


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    return [
        _sample(candidate, *references, source="a source", key=str(row))
        for row, (candidate, references) in enumerate(SENTENCES)
    ]


@pytest.fixture(scope="session")
def real_samples() -> list[Sample]:
    """Give captions spoilt a little, beside the captions they were made of."""
    path = MULTI30K / "val.en.gz"
    if not path.exists():
        pytest.skip("Multi30k is not there")
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()[:200]
    rng = random.Random(7)
    return [
        _sample(_spoil(line, rng), line, *rng.sample(lines, row % 3), key=str(row))
        for row, line in enumerate(lines)
    ]


def _spoil(line: str, rng: random.Random) -> str:
    words = [word for word in line.split() if rng.random() > 0.1]
    for _ in range(rng.randint(0, 3)):
        words.insert(rng.randint(0, len(words)), rng.choice(line.split()))
    if words and rng.random() < 0.5:
        words.append(words.pop(0))
    return " ".join(words)


def _train_wordpiece() -> PreTrainedTokenizerFast:
    """Train a tokenizer like BERT's on the sentences above."""
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=400, special_tokens=marks, show_progress=False)
    tokenizer.train_from_iterator(
        [text for candidate, references in SENTENCES for text in (candidate, *references)], trainer
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=64,
        **dict(zip(names, marks, strict=True)),
    )


def _config(
    tokenizer: PreTrainedTokenizerFast, kind: type[PretrainedConfig] = BertConfig, **settings
) -> PretrainedConfig:
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "initializer_range": 0.5,
    }
    return kind(**sizes | settings)


@pytest.fixture(scope="session")
def save_classifier() -> Callable[..., Path]:
    """Save a tiny classifier with random weights, or one that always says the same.

    ``logits`` are what it says of any text.
    """
    tokenizer = _train_wordpiece()

    def save(
        folder: Path,
        labels: tuple[str, ...] = ("bad", "good"),
        logits: list[float] | None = None,
        problem_type: str | None = None,
    ) -> Path:
        names = dict(enumerate(labels))
        config = _config(tokenizer, id2label=names, problem_type=problem_type)
        torch.manual_seed(5)
        model = BertForSequenceClassification(config)
        if logits is not None:
            model.classifier.weight.data.zero_()
            model.classifier.bias.data = torch.tensor(logits)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(
    scope="session",
    params=[
        (BertConfig, {"max_position_embeddings": 16}),
        # Positions begin behind that of padding.
        (RobertaConfig, {"max_position_embeddings": 18, "pad_token_id": 1}),
        (GPT2Config, {"max_position_embeddings": 16, "pad_token_id": None}),
    ],
    ids=["bert", "roberta", "gpt2"],
)
def other_shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a tiny classifier that reads 16 tokens, which its tokenizer does not know."""
    kind, settings = request.param
    folder = tmp_path_factory.mktemp("shape")
    tokenizer = _train_wordpiece()
    tokenizer.model_max_length = 10**30
    torch.manual_seed(5)
    config = _config(tokenizer, kind, **settings)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def save_bert() -> Callable[..., Path]:
    """Save a tiny BERT with random weights, with or without what sums a text up."""
    tokenizer = _train_wordpiece()

    def save(folder: Path, *, pooler: bool = True) -> Path:
        torch.manual_seed(5)
        model = BertModel(_config(tokenizer))
        if not pooler:
            model.pooler = None
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def save_sentence_encoder(save_bert) -> Callable[[Path], Path]:
    """Save a tiny sentence-transformers model: BERT, and the mean of its states."""
    package = pytest.importorskip("sentence_transformers")
    layers = pytest.importorskip("sentence_transformers.models")

    def save(folder: Path) -> Path:
        bert = layers.Transformer(str(save_bert(folder / "bert")), max_seq_length=64)
        pooling = layers.Pooling(bert.get_embedding_dimension(), pooling_mode="mean")
        encoder = package.SentenceTransformer(modules=[bert, pooling], device="cpu")
        encoder.save(str(folder / "encoder"), create_model_card=False)
        return folder / "encoder"

    return save
