"""The device a process computes on."""

import torch

from goa.errors import PolicyError
from goa.policies.settings import ComputeSettings


def use_device(settings: ComputeSettings, threads: int) -> torch.device:
    """Set this process's CPU threads and choose its device.

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
    return torch.device("cuda")
