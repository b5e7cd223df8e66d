"""AdamW with a schedule, and its state as plain tensors."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from goa.trainer.settings import OptimiserSettings

PREFIX = "optimiser."


class Optimiser:
    """Steps the named parameters of a model."""

    def __init__(
        self, parameters: Mapping[str, Tensor], settings: OptimiserSettings, total_updates: int
    ) -> None:
        self.names = list(parameters)
        self.settings = settings
        self.total_updates = total_updates
        self.adam = torch.optim.AdamW(
            list(parameters.values()),
            lr=settings.learning_rate,
            betas=(settings.betas[0], settings.betas[1]),
            weight_decay=settings.weight_decay,
        )

    def step(self, update: int) -> float:
        """Clip the gradients, and step.

        Args:
            update: updates done before this one.

        Returns:
            The gradient's Euclidean norm before clipping; not finite if a gradient is not, and
            then no step is taken.
        """
        parameters = self.adam.param_groups[0]["params"]
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.settings.max_grad_norm))
        if math.isfinite(norm):
            self.adam.param_groups[0]["lr"] = self.learning_rate(update)
            self.adam.step()
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
                key: tensors[f"{PREFIX}{name}.{key}"] for key in ("step", "exp_avg", "exp_avg_sq")
            }
            for index, name in enumerate(self.names)
            if f"{PREFIX}{name}.step" in tensors
        }
        groups = self.adam.state_dict()["param_groups"]
        self.adam.load_state_dict({"state": state, "param_groups": groups})
