"""Adversarial samples: source embeddings moved where they hurt most."""

from collections.abc import Callable

import torch
from torch import Tensor

from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from goa.randomness import generator
from goa.trainer.settings import PerturbationSettings


class Perturbation:
    """Makes adversarial sources for one step."""

    def __init__(self, policy: Policy, settings: PerturbationSettings, seed: int) -> None:
        self.policy = policy
        self.settings = settings
        self.seed = seed

    def choose(self, num_sources: int, update: int, turn: int) -> Tensor:
        """Choose the sources of a whole step that are perturbed, [B] bool."""
        draws = generator(self.seed, "perturbation", update, turn).random(num_sources)
        return torch.from_numpy(draws < self.settings.share).to(self.policy.device)

    def attack(self, sources: Tokens, chosen: Tensor, loss: Callable[[Tokens], Tensor]) -> Tokens:
        """Move the embeddings of the chosen sources [B] so that the loss rises.

        Args:
            sources: B sources.
            chosen: [B] bool.
            loss: of the policy on these sources; called once, with gradient.
        """
        embedding = self.policy.source_embedding
        with torch.no_grad():
            vectors = embedding(sources.ids)
            scale = self.settings.size * vectors.square().mean(dim=-1, keepdim=True).sqrt()
        offsets = torch.zeros_like(vectors, requires_grad=True)
        moved = Tokens(ids=sources.ids, mask=sources.mask, offsets=offsets)
        (gradient,) = torch.autograd.grad(loss(moved), offsets)
        where = (chosen.unsqueeze(1) & sources.mask).unsqueeze(-1)
        return Tokens(ids=sources.ids, mask=sources.mask, offsets=scale * gradient.sign() * where)
