"""The unit that flows from generation to the update."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from goa.policies.policy import Policy
from goa.policies.tokens import Tokens, first_alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """B sources with K candidates each. References are candidates without rewards, K = 1."""

    sources: Tokens
    """[B, S]."""
    tokens: Tensor
    """[B, K, T] int64, end tokens included."""
    mask: Tensor
    """[B, K, T] bool, True for the tokens of a candidate."""
    log_probs: Tensor | None = None
    """[B, K, T] under the policy that wrote them; None for references."""
    pretrained_log_probs: Tensor | None = None
    """[B, K, T] under the pretrained policy; None where no divergence is measured."""
    rewards: Tensor | None = None
    """[B, K] in [0, 1], less the price of divergence where there is one; None for references."""
    greedy_rewards: Tensor | None = None
    """[B] of the policy's greedy output, where the objective asks for it."""
    credits: Tensor | None = None
    """[B, K, T] what each token earned, where the evaluator was asked prefix by prefix."""
    prefix_mask: Tensor | None = None
    """[B, K, T] bool, True for the tokens that candidates were given, where they were."""
    perturbed_mask: Tensor | None = None
    """[B] bool, True for the sources whose embeddings are to be perturbed, where some are."""
    references: "Rollout | None" = None
    """One reference of each source, where the likelihood is mixed in."""
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    """What generation and scoring had to say of the whole rollout."""

    def __len__(self) -> int:
        """Count the sources, B."""
        return len(self.tokens)

    def __getitem__(self, rows: slice | Tensor) -> "Rollout":
        """Take some sources with all their candidates, without columns that are all padding.

        Args:
            rows: a slice, a mask [B] of bool, or indices.
        """
        mask = self.mask[rows]
        width = int(mask.sum(dim=-1).max()) if len(mask) else 0

        def take(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[rows]

        def narrow(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[rows, :, :width]

        return Rollout(
            sources=self.sources[rows],
            tokens=self.tokens[rows, :, :width],
            mask=mask[:, :, :width],
            log_probs=narrow(self.log_probs),
            pretrained_log_probs=narrow(self.pretrained_log_probs),
            rewards=take(self.rewards),
            credits=narrow(self.credits),
            prefix_mask=narrow(self.prefix_mask),
            greedy_rewards=take(self.greedy_rewards),
            perturbed_mask=take(self.perturbed_mask),
            references=None if self.references is None else self.references[rows],
        )

    @property
    def speaking_mask(self) -> Tensor:
        """[B] bool, False where all of a source's candidates earned the same; needs rewards."""
        if self.rewards is None:
            raise ValueError("references earn nothing, so none of them speaks")
        return self.rewards.amax(dim=1) > self.rewards.amin(dim=1)

    @property
    def scored_mask(self) -> Tensor:
        """[B] bool, False where something that a source is learnt from has no reward."""
        mask = torch.ones(len(self), dtype=torch.bool, device=self.mask.device)
        for values in (self.rewards, self.greedy_rewards, self.credits):
            if values is not None:
                mask &= ~values.isnan().view(len(self), -1).any(dim=1)
        return mask

    @property
    def distinct_mask(self) -> Tensor:
        """[B, K] bool, False where an earlier candidate of the source has the same tokens."""
        places = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return first_alike(self.tokens, self.mask) == places

    def by_length(self) -> "Rollout":
        """Put sources whose candidates, and then who themselves, are alike in length together."""
        longest = self.mask.sum(dim=-1).amax(dim=1)
        return self[(longest * self.sources.mask.shape[1] + self.sources.mask.sum(dim=1)).argsort()]

    def cut(self, max_tokens: int) -> Iterator["Rollout"]:
        """Cut along B, never along K, into passes of at most that many target tokens, with padding.

        A single source whose candidates exceed the budget is a pass of its own.
        """
        start = width = 0
        num_candidates = self.mask.shape[1]
        for place, length in enumerate(self.mask.sum(dim=-1).amax(dim=1).tolist()):
            width = max(width, length)
            if place > start and (place + 1 - start) * num_candidates * width > max_tokens:
                yield self[start:place]
                start, width = place, length
        yield self[start:]


def join(parts: Sequence[Rollout], policy: Policy) -> Rollout:
    """Put the sources of several rollouts of one kind, with as many candidates each, together."""
    references = [part.references for part in parts if part.references is not None]

    def joined(name: str) -> Tensor | None:
        values = [value for part in parts if (value := getattr(part, name)) is not None]
        if not values:
            return None
        width = max(value.shape[-1] for value in values)
        if values[0].dim() == 3:
            values = [pad(value, (0, width - value.shape[-1])) for value in values]
        return torch.cat(values)

    sources = [part.sources for part in parts]
    width = max(tokens.ids.shape[1] for tokens in sources)

    def widened(values: Tensor, filler: int) -> Tensor:
        space = width - values.shape[1]
        return pad(values, (space, 0) if policy.pads_left else (0, space), value=filler)

    tokens, mask = joined("tokens"), joined("mask")
    assert tokens is not None
    assert mask is not None
    return Rollout(
        sources=Tokens(
            ids=torch.cat([widened(source.ids, policy.pad_id) for source in sources]),
            mask=torch.cat([widened(source.mask, 0) for source in sources]),
        ),
        tokens=tokens.masked_fill(~mask, policy.pad_id),
        mask=mask,
        log_probs=joined("log_probs"),
        rewards=joined("rewards"),
        greedy_rewards=joined("greedy_rewards"),
        credits=joined("credits"),
        prefix_mask=joined("prefix_mask"),
        references=join(references, policy) if references else None,
    )


class Rounds(Protocol):
    """Where a training run's rollouts come from."""

    def __len__(self) -> int:
        """Count the rounds of the whole run."""

    def __getitem__(self, index: int) -> Rollout:
        """Make the rollout of one round; equal index and policy give an equal rollout."""
