"""A model's weights: where they are, which of them are trained, and how it computes with them."""

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Self

import torch
from torch import Tensor
from transformers import PreTrainedModel

from goa.policies.sharding import Shards


class Model:
    """A transformers model, whole or in shards, trained in all weights or in an adapter's alone."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.precision: Literal["float32", "bfloat16"] = "float32"
        """Of the matrix products."""
        self.checkpoints_gradients = False
        """Whether inner states are computed again on the way back; then the model has no dropout,
        or is trained with it."""
        self.adapter: Any = None
        """peft's view of the model, where only an adapter in it is trained."""
        self.shards: Shards | None = None
        """The weights, where this process has only a part of each."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return torch.device(self.model.device)

    @property
    def product_dtype(self) -> torch.dtype:
        """The precision of matrix products, as a type of numbers."""
        return self.model.dtype if self.precision == "float32" else torch.bfloat16

    def frozen_copy(self) -> Self:
        """Copy the policy as it is now, not sharded as yet; the copy is not trained."""
        frozen = copy.copy(self)
        frozen.model = copy.deepcopy(self.model).eval()
        frozen.model.requires_grad_(False)
        return frozen

    def trained(self) -> dict[str, Tensor]:
        """Name the weights that training moves: all, or those of an adapter."""
        return {name: w for name, w in self.model.named_parameters() if w.requires_grad}

    def without_adapter(self) -> AbstractContextManager[Any]:
        """Make the policy, for a while, what it is without its adapter, if it has one."""
        return nullcontext() if self.adapter is None else self.adapter.disable_adapter()

    def shard(self, device: torch.device, size: int) -> None:
        """Spread the weights over a team of so many processes; all of them do so alike."""
        self.shards = Shards(self.model, device, size)

    def whole(self) -> AbstractContextManager[None]:
        """Gather the weights, for a while, if they are sharded: to write, or score, at will."""
        return nullcontext() if self.shards is None else self.shards.whole()

    @property
    def state_size(self) -> int:
        """Width of the decoder's hidden states, d."""
        return int(self.model.config.hidden_size)

    @property
    def num_layers(self) -> int:
        """Layers that write."""
        names = ("decoder_layers", "num_decoder_layers", "num_hidden_layers")
        config = self.model.config
        return next(int(getattr(config, name)) for name in names if hasattr(config, name))

    def arithmetic(self) -> AbstractContextManager[Any]:
        """Compute with the policy's precision, for a while."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def learn(self, *, dropout: bool) -> None:
        """Make ready for an update; afterwards ``model.eval()`` makes ready for writing again."""
        self.model.train(dropout or self.checkpoints_gradients)
