"""One entry for every decoding strategy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from goa.decoding.batching import in_batches
from goa.decoding.beam import beam_search
from goa.decoding.constraints import constraints_of, length_limits
from goa.decoding.drawing import draw, truncate, uniforms
from goa.decoding.recording import recorder
from goa.decoding.settings import (
    BeamSettings,
    DiverseBeamSettings,
    GreedySettings,
    SampleSettings,
    StochasticBeamSettings,
    StrategySettings,
)
from goa.decoding.stepwise import Choose, Decoded, decode, greedy_choice
from goa.decoding.stochastic_beam import Randomness, stochastic_beam_search
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """K candidates for each of B sources."""

    tokens: Tensor
    """[B, K, T] int64, the end token included; padding where the mask is False."""
    mask: Tensor
    """[B, K, T] bool."""
    log_probs: Tensor
    """[B, K, T] under the policy itself; 0 where the mask is False."""
    texts: tuple[tuple[str, ...], ...]
    """[B][K] what the tokens say."""


def generate(
    policy: Policy,
    sources: Tokens,
    strategy: StrategySettings,
    seed: int,
    keys: Sequence[str],
    prefixes: Tokens | None = None,
) -> Candidates:
    """Write K candidates for each of B sources; each source is encoded once.

    Args:
        policy: who writes; must be in evaluation mode (no dropout).
        sources: B tokenized sources.
        strategy: how to write, and how many.
        seed: of the draws.
        keys: B names of the sources; equal seed and key give equal draws in any batch.
        prefixes: [B, P] what the candidates of each source begin with, where that is not left to
            the policy; not for beams.

    Candidates that reach the length limit are cut there, without an end token.

    Raises:
        PolicyError: memory does not hold a single source with its candidates.
    """
    batches = generate_in_batches(policy, sources, strategy, seed, keys, prefixes)
    return put_together(list(batches), policy.pad_id)


def generate_in_batches(
    policy: Policy,
    sources: Tokens,
    strategy: StrategySettings,
    seed: int,
    keys: Sequence[str],
    prefixes: Tokens | None = None,
) -> Iterator[tuple[Tensor, Candidates]]:
    """Do as :func:`generate` does, as many sources at a time as memory holds, those alike together.

    Gives the places of some sources with their candidates; each source comes once.
    """

    def write(rows: Tensor) -> Candidates:
        given = None if prefixes is None else prefixes[rows]
        own = [keys[row] for row in rows.tolist()]
        return _laid_out(
            policy, strategy, _decode(policy, sources[rows], strategy, seed, own, given)
        )

    num_rows = getattr(strategy, "num_beams", strategy.candidates)
    limits = length_limits(policy, sources, strategy)
    return in_batches(policy, num_rows * limits + sources.mask.sum(dim=1), write)


def put_together(parts: Sequence[tuple[Tensor, Candidates]], pad_id: int) -> Candidates:
    """Lay the batches of :func:`generate_in_batches` out as one, the sources in their order."""
    order = torch.cat([rows for rows, _ in parts]).argsort()
    width = max(part.tokens.shape[2] for _, part in parts)

    def stack(values: Sequence[Tensor], filler: float) -> Tensor:
        padded = [pad(each, (0, width - each.shape[2]), value=filler) for each in values]
        return torch.cat(padded)[order]

    texts = [row for _, part in parts for row in part.texts]
    return Candidates(
        tokens=stack([part.tokens for _, part in parts], pad_id),
        mask=stack([part.mask for _, part in parts], False),
        log_probs=stack([part.log_probs for _, part in parts], 0.0),
        texts=tuple(texts[place] for place in order.tolist()),
    )


def _laid_out(policy: Policy, strategy: StrategySettings, decoded: Decoded) -> Candidates:
    """Lay rows out by source, and say what they say."""
    count = strategy.candidates
    shape = (len(decoded.tokens) // count, count, -1)
    ids, lengths = decoded.tokens.tolist(), decoded.mask.sum(dim=1).tolist()
    texts = policy.texts([row[:length] for row, length in zip(ids, lengths, strict=True)])
    return Candidates(
        tokens=decoded.tokens.view(shape),
        mask=decoded.mask.view(shape),
        log_probs=decoded.log_probs.view(shape),
        texts=tuple(tuple(texts[start : start + count]) for start in range(0, len(texts), count)),
    )


def _decode(
    policy: Policy,
    sources: Tokens,
    strategy: StrategySettings,
    seed: int,
    keys: Sequence[str],
    prefixes: Tokens | None,
) -> Decoded:
    limits = length_limits(policy, sources, strategy)
    constraints = constraints_of(policy, sources, strategy)
    if isinstance(strategy, BeamSettings | DiverseBeamSettings):
        return beam_search(policy, sources, strategy, limits, constraints)
    if isinstance(strategy, StochasticBeamSettings):
        noise = Randomness(seed=seed, keys=keys)
        return stochastic_beam_search(policy, sources, strategy, limits, constraints, noise)
    choose: Choose = greedy_choice
    if isinstance(strategy, SampleSettings):
        # As wide as the settings have it: the room that a batch has would move the later draws.
        points = uniforms(seed, keys, strategy.candidates, strategy.max_tokens)
        choose = _sampler(strategy, points.to(policy.device))
    if prefixes is not None:
        choose = _after(prefixes, strategy.candidates, int(limits.max()), choose)
    # What is written decides what constraints do: no step is as the one before.
    record = recorder(policy) if constraints is None else None
    with torch.no_grad():
        writing = policy.start(sources, strategy.candidates, in_place=record is not None)
    limits = limits.repeat_interleave(strategy.candidates)
    if constraints is not None:
        constraints = constraints.for_each(strategy.candidates)
    return decode(policy, writing, choose, limits, constraints, record)


def _sampler(strategy: SampleSettings, noise: Tensor) -> Choose:
    def choose(logits: Tensor, rows: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        shaped = truncate(logits, strategy)
        tokens, normaliser = draw(shaped, noise[rows, step])
        return tokens, normaliser if shaped is logits else logits.logsumexp(dim=1)

    return choose


def _after(prefixes: Tokens, num_candidates: int, max_tokens: int, choose: Choose) -> Choose:
    """Choose what is given as long as something is given."""
    missing = (0, max_tokens - prefixes.ids.shape[1])
    ids = pad(prefixes.ids, missing).repeat_interleave(num_candidates, dim=0)
    mask = pad(prefixes.mask, missing).repeat_interleave(num_candidates, dim=0)

    def choose_after(logits: Tensor, rows: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        chosen, normaliser = choose(logits, rows, step)
        return torch.where(mask[rows, step], ids[rows, step], chosen), normaliser

    return choose_after


GREEDY = GreedySettings(kind="greedy")
"""Greedy decoding with its default length limit."""
