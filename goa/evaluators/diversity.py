"""Diversity: how little of a candidate was said before, by itself, its siblings or the others."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from goa.evaluators.contract import Evaluator, describe
from goa.evaluators.distinct import distinct_ratio
from goa.evaluators.recipe import NOTHING, Influence, Recipe
from goa.evaluators.siblings import siblings
from goa.evaluators.tokens import ngrams, tokenize
from goa.records import Sample, Scores

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

Words = Sequence[str]


class DiversitySettings(Recipe):
    """Which n-grams, and what they are compared with."""

    kind: Literal["diversity"] = "diversity"
    max_order: int = Field(default=2, ge=1, le=9)
    """Words of the longest n-gram that is looked at."""
    measure: Literal["distinct", "entropy"] = "distinct"
    """Within a candidate: the share of n-grams that are distinct, or their entropy."""
    within: Literal["candidate", "batch", "source"] = "candidate"
    """What should not repeat itself: the candidate, the candidates of all sources that are scored
    in one call, or the candidates of the same source among them."""

    @model_validator(mode="after")
    def _check_measure(self) -> Self:
        if self.measure == "entropy" and self.within != "candidate":
            raise ValueError(
                f"measure entropy has no meaning within: {self.within}; leave it out, or choose "
                "within: candidate"
            )
        return self

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: never on references."""
        return NOTHING if self.within == "candidate" else frozenset({"batch"})

    def build(self, name: str) -> "Diversity":
        """Build the evaluator."""
        return Diversity(name, self)


class Diversity(Evaluator):
    """How diverse a candidate is; references are not looked at. One without words has 0.

    A candidate by itself, and a batch, are measured for n = 1 .. max_order and averaged over the
    orders of which the candidate has an n-gram:

    - candidate, distinct: distinct n-grams over n-grams (Li et al., 2016).
    - candidate, entropy: Shannon's entropy of the candidate's n-grams (Zhang et al., 2018, have it
      of a corpus) over its maximum, the log of their number; 1 for a single n-gram, which repeats
      nothing.
    - batch: averaged over the candidate's distinct n-grams, the share of the call's candidates for
      *other* sources that lack it: low for what could be said to anything (Li et al., 2016). What
      is said of the same source is rightly alike, and left to the next one. 1 in a call of one
      source.

    - source: 1 - self-BLEU (Zhu et al., 2018): BLEU of the candidate against all the others of an
      equal example in the call as references. BLEU is sacrebleu's of a sentence, of order
      max_order, smoothed ``exp``, with effective order, over words as :func:`tokenize` gives them.
      A candidate much shorter than the others pays BLEU's brevity penalty and so counts as diverse:
      put something beside it that minds length. A lone candidate has 1: it repeats nobody, and
      None could not be validated, which takes one output a source. So metrics and validation, where
      it is 1 throughout, cannot tell policies apart by it.
    """

    def __init__(self, name: str, settings: DiversitySettings) -> None:
        self.name = name
        self.reads_batch = settings.within != "candidate"
        libraries = ["goa", "sacrebleu"] if settings.within == "source" else ["goa"]
        self.signature = describe(settings, *libraries)
        self._within = settings.within
        self._ratio = distinct_ratio if settings.measure == "distinct" else entropy_ratio
        self._orders = range(1, settings.max_order + 1)
        self._bleu = make_bleu(settings.max_order) if settings.within == "source" else None

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each candidate, by itself or beside the others of the call."""
        texts = [tokenize(sample.candidate) for sample in samples]
        if self._bleu is not None:
            return Scores(values=tuple(unlike_siblings(texts, siblings(samples), self._bleu)))
        if self._within == "batch":
            sources = siblings(samples)
            columns = [unshared(texts, sources, n) for n in self._orders]
        else:
            columns = [[self._ratio(words, n) for words in texts] for n in self._orders]
        return Scores(
            values=tuple(_mean(column[row] for column in columns) for row in range(len(texts)))
        )


def entropy_ratio(tokens: Sequence[str], n: int) -> float | None:
    """Divide the entropy of the n-grams by the log of their number; None if there are none."""
    found = ngrams(tokens, n)
    if len(found) < 2:
        return 1.0 if found else None
    repeated = sum(count * math.log(count) for count in Counter(found).values())
    return max(0.0, 1 - repeated / (len(found) * math.log(len(found))))


def unshared(
    texts: Sequence[Words], sources: Iterable[Sequence[int]], n: int
) -> list[float | None]:
    """Average, over the n-grams of each text, the share of other sources' texts that lack it.

    Args:
        texts: N lists of words.
        sources: the rows of each source's texts.
        n: words in an n-gram; None for texts without any.
    """
    types = [set(ngrams(words, n)) for words in texts]
    known = Counter(chain.from_iterable(types))
    values: list[float | None] = [None] * len(texts)
    for rows in sources:
        own = Counter(chain.from_iterable(types[row] for row in rows))
        num_others = len(texts) - len(rows)
        for row in rows:
            if types[row]:
                shared = sum(known[ngram] - own[ngram] for ngram in types[row])
                values[row] = 1 - shared / max(1, len(types[row]) * num_others)
    return values


def unlike_siblings(
    texts: Sequence[Words], sources: Iterable[Sequence[int]], bleu: "BLEU"
) -> list[float]:
    """Give 1 - BLEU of each text against the others of its source; 0 for one without words."""
    lines = [" ".join(words) for words in texts]
    values = [1.0 if words else 0.0 for words in texts]
    for rows in sources:
        for row in rows:
            others = [lines[other] for other in rows if other != row]
            if others and texts[row]:
                values[row] = max(0.0, 1 - bleu.sentence_score(lines[row], others).score / 100)
    return values


def make_bleu(max_order: int) -> "BLEU":
    """Make the BLEU of self-BLEU, of words between spaces."""
    # Here, not above: checking settings should not wait for sacrebleu.
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415

    return BLEU(tokenize="none", max_ngram_order=max_order, effective_order=True)


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0
