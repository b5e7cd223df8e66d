"""The device a process computes on."""

import torch
from torch import nn

from goa.errors import PolicyError
from goa.policies.policy import Policy
from goa.policies.settings import ComputeSettings

DROPOUTS = (
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "dropout_rate",
    "layerdrop",
    "layer_dropout",
)
"""What transformers' modules call their chances of dropping something."""


def use_device(settings: ComputeSettings, threads: int, local_rank: int = 0) -> torch.device:
    """Set this process's CPU threads and choose its device: of several GPUs, the one of its rank.

    Raises:
        PolicyError: a GPU is demanded and there is none.
    """
    torch.set_num_threads(threads)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise PolicyError(
            "compute.device is cuda, but torch sees no GPU "
            f"(torch {torch.__version__}); use auto or cpu, or a machine with a GPU"
        )
    if settings.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", local_rank)


def set_up(policy: Policy, settings: ComputeSettings, *, dropout: bool) -> None:
    """Make a policy compute as told.

    Args:
        policy: changed in place; its configuration stays.
        settings: the precision, memory, and whether gradients are checkpointed.
        dropout: whether it is to be trained with dropout.
    """
    policy.precision = settings.precision
    policy.tokens_at_once = settings.tokens_at_once
    policy.cuda_graphs = settings.cuda_graphs
    policy.checkpoints_gradients = settings.gradient_checkpointing
    if settings.gradient_checkpointing:
        policy.model.activation_checkpointing_enable({"use_reentrant": False})
        if not dropout:
            # transformers checkpoints in training mode alone, which would bring dropout along.
            _silence_dropout(policy.model)


def _silence_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in DROPOUTS:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
