"""AdamW with a schedule, and its state as plain tensors."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from goa.objectives.head import Head
from goa.policies.sharding import gathered, spread_like
from goa.trainer.settings import OptimiserSettings

PREFIX = "optimiser."


class Optimiser:
    """Steps the named parameters of a model, and those of heads at their own learning rates."""

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        settings: OptimiserSettings,
        total_updates: int,
        heads: Sequence[Head] = (),
    ) -> None:
        self.names = [*parameters, *head_parameters(heads)]
        self.settings = settings
        self.total_updates = total_updates
        self._factor = 1.0
        groups: list[dict[str, Any]] = [{"params": list(parameters.values())}]
        groups += [
            {"params": list(head.network.parameters()), "lr": head.learning_rate} for head in heads
        ]
        self.adam = torch.optim.AdamW(
            groups,
            lr=settings.learning_rate,
            betas=(settings.betas[0], settings.betas[1]),
            weight_decay=settings.weight_decay,
        )

    def step(self, update: int) -> float:
        """Clip the gradients, the model's and each head's apart, and step.

        Args:
            update: updates done before this one.

        Returns:
            The Euclidean norm of the model's gradient before clipping; not finite if any gradient
            is not, and then no step is taken.
        """
        norm, *others = [
            float(gathered(clip_grad_norm_(group["params"], self.settings.max_grad_norm)))
            for group in self.adam.param_groups
        ]
        if all(map(math.isfinite, [norm, *others])):
            self.adam.param_groups[0]["lr"] = self._factor * self.learning_rate(update)
            self.adam.step()
        else:
            norm = math.nan
        self.adam.zero_grad(set_to_none=True)
        return norm

    def learning_rate(self, update: int) -> float:
        """Give the learning rate of one update, counted from 0."""
        peak, warmup = self.settings.learning_rate, self.settings.warmup_updates
        if update < warmup:
            return peak * (update + 1) / warmup
        if self.settings.schedule == "linear":
            return peak * (self.total_updates - update) / max(1, self.total_updates - warmup)
        if self.settings.schedule == "inverse_sqrt":
            return float(peak * (max(1, warmup) / (update + 1)) ** 0.5)
        return peak

    @property
    def parameters(self) -> list[Tensor]:
        """All that is stepped."""
        return [weight for group in self.adam.param_groups for weight in group["params"]]

    def slow_down(self, times: int) -> None:
        """Halve the model's learning rates so many times."""
        self._factor = 0.5**times

    def forget(self) -> None:
        """Drop the moments: what comes next is unlike what was before."""
        self.adam.state.clear()

    def tensors(self) -> dict[str, Tensor]:
        """Give the state by name, as tensors, for a checkpoint."""
        state = self.adam.state_dict()["state"]
        return {
            f"{PREFIX}{self.names[index]}.{key}": value
            for index, entry in state.items()
            for key, value in entry.items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state back from a checkpoint's tensors."""
        state = {
            index: {
                "step": tensors[f"{PREFIX}{name}.step"],
                **{
                    moment: spread_like(weight, tensors[f"{PREFIX}{name}.{moment}"])
                    for moment in ("exp_avg", "exp_avg_sq")
                },
            }
            for index, (name, weight) in enumerate(zip(self.names, self.parameters, strict=True))
            if f"{PREFIX}{name}.step" in tensors
        }
        groups = self.adam.state_dict()["param_groups"]
        self.adam.load_state_dict({"state": state, "param_groups": groups})


def head_parameters(heads: Sequence[Head]) -> dict[str, Tensor]:
    """Name the weights of heads."""
    return {
        f"{type(head).__name__}.{name}": weight
        for head in heads
        for name, weight in head.network.named_parameters()
    }
