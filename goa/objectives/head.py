"""Small networks over the policy's states that learn beside it."""

from abc import ABC, abstractmethod

from pydantic import Field
from torch import Tensor, nn

from goa.objectives.contract import Batch, Loss, Need, given
from goa.settings import Settings


class HeadSettings(Settings):
    """A head learns at a pace of its own."""

    learning_rate: float = Field(1e-3, gt=0.0, le=1.0)
    """Of the head's weights."""


class Head(ABC):
    """An objective with weights of its own; it sees the policy's states and leaves them alone."""

    needs: frozenset[Need] = frozenset({"states"})

    def __init__(self, settings: HeadSettings, network: nn.Module) -> None:
        self.learning_rate = settings.learning_rate
        self.network = network

    @abstractmethod
    def weigh(self, mask: Tensor, rewards: Tensor | None) -> float:
        """Count what the loss is summed over."""

    @abstractmethod
    def __call__(self, batch: Batch) -> Loss:
        """Sum the loss over a batch."""

    @abstractmethod
    def fill(self, batch: Batch) -> Batch:
        """Add what the other objectives look at, without gradient."""

    def states(self, batch: Batch) -> Tensor:
        """Take the policy's states, [B, K, T, d], without gradient, as the head's weights are.

        Raises:
            ValueError: the batch has none.
        """
        states = given(batch.states, "the policy's states", type(self).__name__)
        return states.detach().to(next(self.network.parameters()).dtype)
