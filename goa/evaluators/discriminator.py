"""Learned tests of whether a person wrote a text: a discriminator, and an energy."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from goa.errors import EvaluatorError
from goa.evaluators.contract import FloatArray, describe
from goa.evaluators.learning import LearningEvaluator
from goa.evaluators.recipe import NOTHING, Influence, Recipe
from goa.evaluators.siblings import siblings
from goa.randomness import Shuffle, generator, torch_draws
from goa.records import Sample, Scores

if TYPE_CHECKING:
    from torch import Tensor

    from goa.evaluators.text_pair_network import TextPairNetwork

HELD_OUT = 0.1
"""Share of the examples that a discriminator is tried on, and does not learn from."""
_PAIRS_PER_BATCH = 64


class LearnedTestSettings(Recipe):
    """The network, and how it learns."""

    embedding: int = Field(default=64, ge=4, le=1024)
    """Numbers in a word's vector."""
    channels: int = Field(default=64, ge=4, le=1024)
    """Filters of each of the widths 1, 2, 3 and 5 words."""
    buckets: int = Field(default=1 << 15, ge=16, le=1 << 22)
    """Vectors that words and runs of three characters share, by hash."""
    reads_source: bool = True
    """Whether it sees the source beside the text."""
    max_words: int = Field(default=256, ge=1, le=4096)
    """It reads no further in a text."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Of words and of what was found in them: a pool has few references to learn from."""
    epochs: int = Field(default=20, ge=1, le=1000)
    """Passes over the examples of the pool, each with one of its candidates, another in each."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Of the network's weights."""
    weight_decay: float = Field(default=0.01, ge=0, le=1)
    """Share of each weight that is taken off a step, times the learning rate."""

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on: it learns from references, and judges without them."""
        return NOTHING


class DiscriminatorSettings(LearnedTestSettings):
    """A discriminator that learns along with the policy."""

    kind: Literal["discriminator"] = "discriminator"
    refit_every: int | None = Field(default=10, ge=1)
    """Rounds of fine-tuning after which it learns from fresh candidates; null: never again."""
    refit_epochs: int = Field(default=4, ge=1, le=100)
    """Passes over those candidates."""

    def build(self, name: str) -> "Discriminator":
        """Build the evaluator."""
        return Discriminator(name, self)


class EnergySettings(LearnedTestSettings):
    """An energy of texts, relative to the policy that wrote the pool."""

    kind: Literal["energy"] = "energy"

    def build(self, name: str) -> "Energy":
        """Build the evaluator."""
        return Energy(name, self)


class LearnedTest(LearningEvaluator):
    """A network's number f(source, text), put into (0, 1) by the logistic function.

    It learns from triples of an example, one of its references y and one of its candidates y', each
    drawn anew in every epoch, by the loss ``softplus(-f(y)) + softplus(f(y'))``.
    """

    def __init__(self, name: str, settings: LearnedTestSettings) -> None:
        self.name = name
        self._settings = settings
        self._network: TextPairNetwork | None = None

    @property
    def signature(self) -> str:  # type: ignore[override]
        """The recipe, and a digest of the weights."""
        digest = hashlib.blake2b(digest_size=8)
        for _, weights in sorted(self.state().items()):
            digest.update(weights.numpy().tobytes())
        weights_of = f"weights:{digest.hexdigest()}" if self._network else "untrained"
        return f"{describe(self._settings, 'goa')}|{weights_of}"

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each candidate beside its source.

        Raises:
            EvaluatorError: it has not learnt yet.
        """
        texts = [sample.candidate for sample in samples]
        numbers = self._judge(samples, texts)
        return Scores(values=tuple((1 / (1 + np.exp(-numbers))).tolist()))

    def state(self) -> "dict[str, Tensor]":
        """Give the weights by name."""
        if self._network is None:
            return {}
        return {
            name: weights.detach().clone() for name, weights in self._network.state_dict().items()
        }

    def restore(self, state: "Mapping[str, Tensor]") -> None:
        """Take over weights."""
        self._network = self._make(0)
        self._network.load_state_dict(dict(state))

    def learn(self, samples: Sequence[Sample], seed: int, *, anew: bool) -> Mapping[str, float]:
        """Learn; say how well references and candidates of examples held out are told apart.

        ``accuracy`` and ``auc`` are of the network after learning anew; before learning again, they
        are of the network as it was, on all samples, which it has not seen.
        """
        groups = [[samples[row] for row in rows] for rows in siblings(samples)]
        order = Shuffle(len(groups), seed, "held out")[: len(groups)].tolist()
        count = round(HELD_OUT * len(groups)) if anew else 0
        held_out = [groups[place] for place in order[:count]]
        learnt = [groups[place] for place in order[count:]]
        found: Mapping[str, float] = {}
        with _one_thread():
            if anew or self._network is None:
                self._network = self._make(seed)
            else:
                found = self._try(groups)
            self._train(learnt, seed, self._settings.epochs if anew else self._refit_epochs)
            return self._try(held_out) if held_out else found

    _refit_epochs = 1

    def _make(self, seed: int) -> "TextPairNetwork":
        # Here, not above: checking settings should not load torch.
        from goa.evaluators.text_pair_network import TextPairNetwork  # noqa: PLC0415

        settings = self._settings
        with torch_draws(seed, "weights"):
            network = TextPairNetwork(
                settings.embedding, settings.channels, settings.buckets, settings.dropout
            )
        return network.eval()

    def _train(self, groups: Sequence[Sequence[Sample]], seed: int, epochs: int) -> None:
        import torch  # noqa: PLC0415
        from torch.nn.functional import softplus  # noqa: PLC0415

        assert self._network is not None
        optimiser = torch.optim.AdamW(
            self._network.parameters(),
            lr=self._settings.learning_rate,
            weight_decay=self._settings.weight_decay,
        )
        self._network.train()
        with torch_draws(seed, "dropout"):
            for epoch in range(epochs):
                for places in _batches(len(groups), seed, epoch):
                    batch, references = _draw([groups[p] for p in places], seed, epoch)
                    texts = [*references, *(sample.candidate for sample in batch)]
                    judged = self._forward([*batch, *batch], texts)
                    real, written = judged[: len(batch)], judged[len(batch) :]
                    loss = softplus(-real).mean() + softplus(written).mean()
                    optimiser.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
        self._network.eval()

    def _try(self, groups: Sequence[Sequence[Sample]]) -> dict[str, float]:
        samples = [sample for group in groups for sample in group]
        written = self._judge(samples, [sample.candidate for sample in samples])
        examples = [group[0] for group in groups]
        real = self._judge(examples, [sample.example.references[0] for sample in examples])
        return {
            "accuracy": balanced_accuracy(real, written),
            "auc": area_under_curve(real, written),
        }

    def _judge(self, samples: Sequence[Sample], texts: Sequence[str]) -> FloatArray:
        """Give the network's numbers, [N]; texts of like length are read together."""
        import torch  # noqa: PLC0415

        if self._network is None:
            raise EvaluatorError(
                f"evaluator {self.name}: has not learnt from candidates yet; its score stage does "
                "that, and what it learnt lies in out/evaluators"
            )
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        numbers = np.zeros(len(texts))
        with torch.no_grad(), _one_thread():
            for start in range(0, len(order), 4 * _PAIRS_PER_BATCH):
                places = order[start : start + 4 * _PAIRS_PER_BATCH]
                batch = self._forward([samples[p] for p in places], [texts[p] for p in places])
                numbers[places] = batch.double().numpy()
        return numbers

    def _forward(self, samples: Sequence[Sample], texts: Sequence[str]) -> "Tensor":
        from goa.evaluators.text_pair_network import split_words  # noqa: PLC0415

        limit = self._settings.max_words
        sources = [
            split_words(sample.example.source, limit) if self._settings.reads_source else []
            for sample in samples
        ]
        judged: Tensor = self._network([split_words(text, limit) for text in texts], sources)  # type: ignore[misc]
        return judged


class Discriminator(LearnedTest):
    """Tells references from candidates (Yu et al., 2017, "SeqGAN"; Wu et al., 2018).

    The score is the probability that a person wrote the text, where half of all texts are people's.

    Departures from the papers: the network (:class:`TextPairNetwork`) looks at the source by
    attention; whole texts are scored, never beginnings; and it first learns from the whole pool.
    """

    def __init__(self, name: str, settings: DiscriminatorSettings) -> None:
        super().__init__(name, settings)
        self.refit_every = settings.refit_every
        self._refit_epochs = settings.refit_epochs


class Energy(LearnedTest):
    """Minus the energy E of a residual model, by the logistic function (Deng et al., 2020).

    The model is ``p(y | x) ~ p_0(y | x) exp(-E(x, y))`` with p_0 the policy that wrote the pool.
    With f = -E the loss is that of noise contrastive estimation with a draw of noise for each text
    (Gutmann and Hyvärinen, 2010), so that f estimates ``log p(y | x) - log p_0(y | x)``: what
    people write beyond the policy. Noise is what the pool holds; the estimate is meant for a pool
    of plain samples (temperature 1, no truncation).
    """


def balanced_accuracy(positive: FloatArray, negative: FloatArray) -> float:
    """Give the mean of the shares of positive numbers above 0 and of negative ones not above it."""
    return float(((positive > 0).mean() + (negative <= 0).mean()) / 2)


def area_under_curve(positive: FloatArray, negative: FloatArray) -> float:
    """Give the probability that a positive number is above a negative one, ties counting half."""
    order = np.sort(negative)
    below = np.searchsorted(order, positive, "left") + np.searchsorted(order, positive, "right")
    return float(below.mean() / (2 * len(negative)))


def _draw(
    groups: Sequence[Sequence[Sample]], seed: int, epoch: int
) -> tuple[list[Sample], list[str]]:
    """Draw a candidate and a reference of each example."""
    samples, references = [], []
    for group in groups:
        rng = generator(seed, "pair", epoch, group[0].example.id)
        samples.append(group[int(rng.integers(len(group)))])
        wanted = group[0].example.references
        references.append(wanted[int(rng.integers(len(wanted)))])
    return samples, references


def _batches(count: int, seed: int, epoch: int) -> Iterator[list[int]]:
    order = Shuffle(count, seed, "order", epoch)
    for start in range(0, count, _PAIRS_PER_BATCH):
        yield order[start : start + _PAIRS_PER_BATCH].tolist()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch calculate in one thread: results are the same however many a stage has."""
    import torch  # noqa: PLC0415

    threads: Any = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
