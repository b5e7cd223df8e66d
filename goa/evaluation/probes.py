"""Texts that nobody wants: what an evaluator should not prefer to a policy's own candidates."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from goa.randomness import generator
from goa.records import Example

COUNTED_EXAMPLES = 200_000
"""Training examples that are counted: the order of the most frequent is settled long before."""

SHUFFLED = "shuffled"
"""The probe that no policy can write by itself: it is made of the reference's words."""
KINDS = {
    "empty": "the empty text",
    "source": "a copy of the source",
    "repeated": "the most frequent word over and over",
    "frequent": "the most frequent sentence",
    SHUFFLED: "the reference's words in any order",
}
"""What each kind of unwanted text is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequent:
    """What the references of a training split say most often; of ties, what came first."""

    word: str
    """Between white space."""
    sentence: str
    """A whole reference."""


def most_frequent(examples: Iterable[Example]) -> Frequent:
    """Count the words and the sentences of training references; empty where there are none."""
    words: Counter[str] = Counter()
    sentences: Counter[str] = Counter()
    for example in islice(examples, COUNTED_EXAMPLES):
        for reference in example.references:
            words.update(reference.split())
            sentences[reference] += 1
    return Frequent(word=_first(words), sentence=_first(sentences))


def probes(
    examples: Sequence[Example], frequent: Frequent, seed: int
) -> Mapping[str, tuple[str, ...]]:
    """Write every kind of unwanted text for B examples, [B] by the name of the kind.

    The word is repeated as often as the first reference has words: right in length, wrong in all
    else. The first reference's words are shuffled into an order that follows from the seed and the
    example's id.
    """
    return {
        "empty": ("",) * len(examples),
        "source": tuple(example.source for example in examples),
        "repeated": tuple(
            " ".join([frequent.word] * len(example.references[0].split())) for example in examples
        ),
        "frequent": (frequent.sentence,) * len(examples),
        SHUFFLED: tuple(_shuffle(example, seed) for example in examples),
    }


def _first(counts: Counter[str]) -> str:
    return max(counts, key=counts.__getitem__, default="")


def _shuffle(example: Example, seed: int) -> str:
    words = example.references[0].split()
    order = generator(seed, SHUFFLED, example.id).permutation(len(words))
    return " ".join(words[place] for place in order)
