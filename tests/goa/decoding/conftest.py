"""What tests of decoding share."""

from collections.abc import Callable

import pytest
import torch

from goa.policies.policy import Policy


@pytest.fixture
def ending_policy(make_policy: Callable[..., Policy]) -> Callable[[str], Policy]:
    """Build policies that end their outputs at many lengths, as trained ones do."""

    def make(architecture: str) -> Policy:
        policy = make_policy(architecture)
        head = policy.model.get_output_embeddings()
        bias = torch.zeros(head.out_features)
        bias[policy.end_id] = 2.5
        head.bias = torch.nn.Parameter(bias)
        return policy

    return make
