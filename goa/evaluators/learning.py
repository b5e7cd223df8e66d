"""Evaluators that learn from what a policy writes."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from goa.errors import EvaluatorError, first_line
from goa.evaluators.contract import Evaluator
from goa.records import Sample

if TYPE_CHECKING:
    from torch import Tensor


class LearningEvaluator(Evaluator):
    """An evaluator with weights: trained before it scores, and, where told, again and again."""

    refit_every: int | None = None
    """Rounds of fine-tuning after which it learns from fresh candidates; None: never again."""

    def learners(self) -> "Sequence[LearningEvaluator]":
        """Give itself."""
        return [self]

    @abstractmethod
    def learn(self, samples: Sequence[Sample], seed: int, *, anew: bool) -> Mapping[str, float]:
        """Learn from candidates and the references beside them.

        Args:
            samples: what a policy wrote; more than one candidate of an example stand together.
            seed: of every draw.
            anew: begin with fresh weights; else go on with those there are.

        Returns:
            What is known about how well it learnt, by name.
        """

    @abstractmethod
    def state(self) -> "dict[str, Tensor]":
        """Give the weights by name; none before it has learnt."""

    @abstractmethod
    def restore(self, state: "Mapping[str, Tensor]") -> None:
        """Take over weights that :meth:`state` gave."""

    def save(self, folder: Path) -> None:
        """Write the weights to a folder."""
        from safetensors.torch import save_file  # noqa: PLC0415 - most evaluators have no tensors

        save_file(self.state(), folder / f"{self.name}.safetensors")

    def load(self, folder: Path) -> None:
        """Take over the weights that :meth:`save` wrote.

        Raises:
            EvaluatorError: there are none, or they are of another network.
        """
        from safetensors import SafetensorError  # noqa: PLC0415
        from safetensors.torch import load_file  # noqa: PLC0415

        path = folder / f"{self.name}.safetensors"
        try:
            self.restore(load_file(path))
        except (OSError, SafetensorError, RuntimeError, KeyError) as error:
            raise EvaluatorError(
                f"evaluator {self.name}: {path}: no weights of this evaluator: "
                f"{first_line(error)}; run its score stage"
            ) from None
