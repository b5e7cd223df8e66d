"""Stochastic beam search: draws without replacement."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from goa.decoding.constraints import Constraints
from goa.decoding.drawing import Mass
from goa.decoding.settings import StochasticBeamSettings
from goa.decoding.stepwise import Decoded, lay_out, move
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from goa.policies.writing import Writing
from goa.randomness import generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Randomness:
    """What draws follow from."""

    seed: int
    keys: Sequence[str]
    """B names of the sources."""


@torch.no_grad()
def stochastic_beam_search(
    policy: Policy,
    sources: Tokens,
    strategy: StochasticBeamSettings,
    limits: Tensor,
    constraints: Constraints | None,
    randomness: Randomness,
) -> Decoded:
    """Draw K different candidates for each of B sources without replacement (Kool et al., 2019).

    A race: every candidate y arrives at a time drawn from an exponential distribution with the rate
    p(y); the first K to arrive are such draws, in that order, and the first is a draw from p. The
    first arrival among all candidates that begin alike is as distributed with the rate p of the
    beginning, so that the K beginnings with the earliest arrivals are all that need be followed.

    Departures:

    1. Kool et al. perturb all children of a beginning by Gumbel noise (minus the log of an arrival
       time) and condition it on its maximum. Here the K earliest children are drawn in order of
       arrival: the first arrives with its parent and is a draw from the policy, and any further one
       is a draw from what is left, after a wait with the rate of what is left. That is the same
       distribution, without noise for the whole vocabulary.
    2. Where there are fewer than K candidates, the first is given again.
    """
    search = _Race(policy, strategy, limits, constraints, randomness)
    search.run(policy.start(sources, 1))
    return search.found()


class _Race:
    """K beginnings of candidates for each of B sources, the earliest first."""

    def __init__(
        self,
        policy: Policy,
        strategy: StochasticBeamSettings,
        limits: Tensor,
        constraints: Constraints | None,
        randomness: Randomness,
    ) -> None:
        self._end_id, self._pad_id = policy.end_id, policy.pad_id
        self._strategy = strategy
        self._limits = limits
        self._constraints = constraints
        self._generators = [generator(randomness.seed, "draw", key) for key in randomness.keys]
        shape, device = (len(limits), strategy.num_candidates), limits.device
        size = (*shape, int(limits.max()))
        self._tokens = torch.full(size, policy.pad_id, device=device)
        self._own_log_probs = torch.zeros(size, device=device)
        self._lengths = torch.zeros(shape, dtype=torch.int64, device=device)
        self._arrivals = torch.full(shape, torch.inf, dtype=torch.float64, device=device)
        """[B, K] log of the time; infinite where there is no beginning."""
        self._arrivals[:, 0] = -torch.inf  # only what comes after the first counts
        self._log_rates = torch.zeros(shape, dtype=torch.float64, device=device)
        """[B, K] log-probability of the beginning, with the temperature."""
        self._running = torch.zeros(shape, dtype=torch.bool, device=device)
        """[B, K], whether a beginning is not whole yet: these have a row each, in this order."""
        self._running[:, 0] = True

    def run(self, writing: Writing) -> None:
        """Draw to the end, from one candidate without a token for each source."""
        for length in range(self._tokens.shape[2]):
            parents, last = self._extend(writing.logits, length)
            if len(last) == 0:
                break
            move(writing, parents)
            writing.advance(last)

    def found(self) -> Decoded:
        """Lay out the candidates in the order of their arrival."""
        places = torch.arange(self._arrivals.shape[1], device=self._arrivals.device)
        places = places.masked_fill(self._arrivals == torch.inf, 0)
        columns = places.unsqueeze(2).expand_as(self._tokens)
        return lay_out(
            self._tokens.gather(1, columns).flatten(0, 1),
            self._own_log_probs.gather(1, columns).flatten(0, 1),
            self._lengths.gather(1, places).flatten(),
            self._pad_id,
        )

    def _extend(self, logits: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Keep the earliest K; gives the rows and the last tokens of what is not whole yet, [R]."""
        children, own_log_probs = self._children(logits, length)
        width = children.arrivals.shape[2]
        best = children.arrivals.flatten(1).topk(self._arrivals.shape[1], dim=1, largest=False)
        parents, places = best.indices // width, best.indices
        last = children.tokens.flatten(1).gather(1, places)
        moved = self._running.gather(1, parents)
        rows = (self._running.flatten().cumsum(0) - 1).view(parents.shape).gather(1, parents)
        columns = parents.unsqueeze(2).expand(-1, -1, length)
        for kept, new in (
            (self._tokens, last),
            (self._own_log_probs, own_log_probs.flatten(1).gather(1, places)),
        ):
            kept[:, :, :length] = kept[:, :, :length].gather(1, columns)
            kept[:, :, length] = new
        self._lengths = self._lengths.gather(1, parents) + moved
        self._arrivals = best.values
        self._log_rates = children.log_rates.flatten(1).gather(1, places)
        whole = (last == self._end_id) | (self._limits.unsqueeze(1) == length + 1)
        self._running = moved & ~whole & (best.values < torch.inf)
        return rows[self._running], last[self._running]

    def _children(self, logits: Tensor, length: int) -> tuple["Children", Tensor]:
        """Draw the earliest children of what is running; what is whole has itself alone.

        Returns them, [B, K, C], and the log-probabilities that they have from the policy itself.
        """
        running = self._running
        shaped = logits
        if self._constraints is not None:
            written, sources = self._tokens[running][:, :length], running.nonzero()[:, 0]
            shaped = self._constraints.apply(logits, written, sources)
        drawn = earliest_children(
            shaped / self._strategy.temperature,
            self._arrivals[running],
            self._log_rates[running],
            self._noise(min(running.shape[1], logits.shape[1]))[running],
        )
        shape = (*running.shape, drawn.tokens.shape[1])
        found = Children(
            tokens=drawn.tokens.new_full(shape, self._pad_id),
            arrivals=self._arrivals.new_full(shape, torch.inf),
            log_rates=self._log_rates.unsqueeze(2).repeat(1, 1, shape[2]),
        )
        found.arrivals[:, :, 0] = self._arrivals
        own_log_probs = logits.new_zeros(shape)
        own = logits.gather(1, drawn.tokens) - logits.logsumexp(dim=1, keepdim=True)
        found.tokens[running], own_log_probs[running] = drawn.tokens, own
        found.arrivals[running], found.log_rates[running] = drawn.arrivals, drawn.log_rates
        return found, own_log_probs

    def _noise(self, count: int) -> Tensor:
        """Draw the randomness of a step, [B, K, C, 2] in [0, 1)."""
        shape = (self._arrivals.shape[1], count, 2)
        drawn = np.stack([each.random(shape) for each in self._generators])
        return torch.from_numpy(drawn).to(self._arrivals.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """Beginnings of candidates that are a token longer than others, C of each."""

    tokens: Tensor
    """[..., C] int64."""
    arrivals: Tensor
    """[..., C] log of the time; infinite where there are too few."""
    log_rates: Tensor
    """[..., C] log-probability of the beginning."""


def earliest_children(
    logits: Tensor, arrivals: Tensor, log_rates: Tensor, noise: Tensor
) -> Children:
    """Draw the C earliest children of R beginnings, in order of arrival.

    Args:
        logits: [R, V] of the next token.
        arrivals: [R] log of the time at which the beginnings arrive.
        log_rates: [R] their log-probabilities.
        noise: [R, C, 2] in [0, 1): which child, and how long it takes.
    """
    mass = Mass(logits)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    whole: Tensor | None = None
    for place in range(noise.shape[1]):
        token, left = mass.find(noise[:, place, 0])
        if whole is None:
            whole = left
        else:
            waits = (-torch.log1p(-noise[:, place, 1])).log()
            arrivals = torch.logaddexp(arrivals, waits - log_rates - (left - whole))
        log_prob = logits.gather(1, token.unsqueeze(1)).squeeze(1) - whole
        found.append((token, arrivals, log_rates + log_prob))
        mass.remove(token)
    tokens, times, rates = (torch.stack(each, dim=1) for each in zip(*found, strict=True))
    return Children(tokens=tokens, arrivals=times, log_rates=rates)
