"""A world so small that every output of a policy can be listed."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from goa.objectives.contract import Batch
from goa.policies.policy import Policy

MAX_TOKENS = 3


@dataclass
class World:
    """A policy over a vocabulary so small that all its outputs fit in a list."""

    policy: Policy
    tokens: Tensor
    """[N, T] every output of at most MAX_TOKENS tokens."""
    mask: Tensor
    """[N, T]."""
    rewards: Tensor
    """[N] in [0, 1], arbitrary."""
    pretrained: Tensor
    """[N, T] log-probs under another policy."""

    def by_prefix(self, seed: int, *, with_token: bool) -> Tensor:
        """Give an arbitrary number of what was written before each token, or up to it, [N, T]."""
        generator, known = torch.Generator().manual_seed(seed), dict[tuple[int, ...], float]()
        values = torch.zeros(self.mask.shape, dtype=torch.float64)
        for row, (tokens, mask) in enumerate(zip(self.tokens, self.mask, strict=True)):
            output = tuple(tokens[mask].tolist())
            for place in range(len(output)):
                prefix = output[: place + with_token]
                fresh = float(torch.rand(1, generator=generator, dtype=torch.float64))
                values[row, place] = known.setdefault(prefix, fresh)
        return values

    def log_probs(self) -> Tensor:
        """[N, T] with gradient."""
        sources = self.policy.pad([[3, 2, self.policy.end_id]])
        return self.policy.score(sources, self.tokens[None], self.mask[None]).log_probs[0]

    def gradient(self, value: Tensor) -> Tensor:
        """Of a scalar with respect to all weights, flat."""
        weights = [weight for weight in self.policy.model.parameters() if weight.requires_grad]
        parts = torch.autograd.grad(value, weights, allow_unused=True)
        return torch.cat([part.flatten() for part in parts if part is not None])

    def batch(self, log_probs: Tensor, chosen: Sequence[int], **extra: Tensor) -> Batch:
        """One source with these outputs as its candidates; log_probs [N, T] are of all outputs."""
        index = torch.tensor(chosen)
        first = [output not in chosen[:place] for place, output in enumerate(chosen)]
        return Batch(
            mask=self.mask[index][None],
            log_probs=log_probs[index][None],
            mean_log_probs=log_probs[index][None],
            distinct_mask=torch.tensor([first]),
            rewards=self.rewards[index][None],
            greedy_rewards=torch.tensor([0.37], dtype=torch.float64),
            pretrained_log_probs=self.pretrained[index][None],
            **extra,
        )


@pytest.fixture
def world(make_policy: Callable[..., Policy]) -> World:
    policy = make_policy(vocab_size=16)
    # Padding, end, unknown and one more token: 1 + 3 + 3 * 3 * 4 outputs.
    policy.model.resize_token_embeddings(4, mean_resizing=False)
    policy.model.final_logits_bias = torch.tensor([[0.3, 0.5, -0.4, 0.1]])
    policy.model.double()
    other = policy.frozen_copy()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in other.model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype))
    rows = list(_every_output(4, policy.end_id))
    padded = policy.pad(rows)
    rewards = torch.rand(len(rows), generator=generator, dtype=torch.float64)
    world = World(policy, padded.ids, padded.mask, rewards, torch.zeros(0))
    world.pretrained = (
        World(other, padded.ids, padded.mask, rewards, torch.zeros(0)).log_probs().detach()
    )
    return world


def _every_output(vocab_size: int, end_id: int) -> list[tuple[int, ...]]:
    others = [token for token in range(vocab_size) if token != end_id]
    ended = [
        (*prefix, end_id)
        for length in range(MAX_TOKENS)
        for prefix in itertools.product(others, repeat=length)
    ]
    return ended + list(itertools.product(others, repeat=MAX_TOKENS))
