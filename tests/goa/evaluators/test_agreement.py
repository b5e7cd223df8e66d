"""The paths that count a batch at a time against the libraries, on many real and random strings."""

import gzip
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from goa.evaluators.bleu import BleuSettings
from goa.evaluators.chrf import ChrfSettings
from goa.evaluators.contract import checked_score
from goa.evaluators.rouge import RougeSettings
from goa.evaluators.table import Rewarding
from goa.records import Example, Sample
from tests.goa.evaluators.conftest import MULTI30K

NUM_STRINGS = 10_000
EXACT = 1e-9
Reference = Callable[[str, Sequence[str]], float]

PIECES = [
    *"aAbBzé019ßİſ", *"  \t\n\r\v\x1c\x85\u2028\u3000\xa0\x00",
    *".,-'’\"&;:!?()[]{}<>/\\|_@#$%^*+=~`",
    "the", "running", "flies", "generously", "3.5", "1,000", "1990-", "-\n", "<skipped>", "&amp;",
    "&quot;", "&lt;", "&amp;lt;", "<skip<skipped>ped>", "don't", "U.S.", "我们", "مرحبا",
    "😀", "\ud800", "\u0301", "ﬁ",
]  # fmt: skip
"""What tokenizers trip over: every kind of space, entities, marks that stand alone or together."""


def random_samples() -> list[Sample]:
    rng = random.Random(11)

    def text() -> str:
        return "".join(rng.choices(PIECES, k=rng.randrange(25)))

    def near(reference: str) -> str:
        cut = rng.randrange(len(reference) + 1)
        return rng.choice(
            [text(), reference[:cut] + text(), reference[:cut] + reference[cut + 1 :]]
        )

    samples: list[Sample] = []
    while len(samples) < NUM_STRINGS:
        references = tuple(text() for _ in range(rng.choice([1, 1, 2, 3])))
        example = Example(id=str(len(samples)), source="", references=references)
        samples += [
            Sample(example=example, candidate=near(rng.choice(references))) for _ in range(4)
        ]
    return samples


def real_samples() -> list[Sample]:
    path = MULTI30K / "train.en.gz"
    if not path.exists():
        pytest.skip("Multi30k is not there")
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()[: NUM_STRINGS // 4]
    rng = random.Random(12)
    samples = []
    for number, line in enumerate(lines):
        example = Example(id=str(number), source="", references=(line,))
        for _ in range(4):
            words = [word for word in line.split() if rng.random() > 0.1]
            words[rng.randrange(len(words) + 1) :] = rng.choice(lines).split()[: rng.randrange(5)]
            samples.append(Sample(example=example, candidate=" ".join(words)))
    return samples


def bleu(**arguments: object) -> Reference:
    metric = BLEU(effective_order=True, **arguments)  # type: ignore[arg-type]
    return lambda candidate, references: metric.sentence_score(candidate, references).score / 100


def chrf(**arguments: object) -> Reference:
    metric = CHRF(**arguments)  # type: ignore[arg-type]
    return lambda candidate, references: metric.sentence_score(candidate, references).score / 100


def rouge(variant: str, *, stemming: bool) -> Reference:
    scorer = RougeScorer([variant], use_stemmer=stemming)
    return lambda candidate, references: scorer.score_multi(references, candidate)[variant].fmeasure


CASES: dict[str, tuple[Rewarding, Reference]] = {
    "BLEU": (BleuSettings(), bleu()),
    "BLEU-2, lower case, floor": (
        BleuSettings(max_order=2, lowercase=True, smoothing="floor"),
        bleu(max_ngram_order=2, lowercase=True, smooth_method="floor"),
    ),
    "BLEU, intl, add-k": (
        BleuSettings(tokenizer="intl", smoothing="add-k"),
        bleu(tokenize="intl", smooth_method="add-k"),
    ),
    "chrF": (ChrfSettings(), chrf()),
    "chrF++, lower case": (
        ChrfSettings(word_order=2, lowercase=True, beta=3),
        chrf(word_order=2, lowercase=True, beta=3),
    ),
    "ROUGE-1, stems": (
        RougeSettings(variant="rouge1", stemming=True), rouge("rouge1", stemming=True)
    ),
    "ROUGE-2, stems": (
        RougeSettings(variant="rouge2", stemming=True), rouge("rouge2", stemming=True)
    ),
    "ROUGE-L, stems": (RougeSettings(stemming=True), rouge("rougeL", stemming=True)),
    "ROUGE-3": (RougeSettings(variant="rouge3"), rouge("rouge3", stemming=False)),
    "ROUGE-Lsum": (RougeSettings(variant="rougeLsum"), rouge("rougeLsum", stemming=False)),
}  # fmt: skip


@pytest.mark.parametrize(
    "make_samples",
    [
        pytest.param(random_samples, id="random"),
        pytest.param(real_samples, id="real", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize(("settings", "reference"), CASES.values(), ids=CASES)
def test_ten_thousand_strings_agree_with_the_library(
    settings: Rewarding, reference: Reference, make_samples: Callable[[], list[Sample]]
) -> None:
    samples = make_samples()
    values = checked_score(settings.build("tested"), samples).values
    expected = [reference(sample.candidate, list(sample.example.references)) for sample in samples]
    np.testing.assert_allclose(values, expected, rtol=0, atol=EXACT)
    assert 0.02 < np.mean(expected) < 0.98
