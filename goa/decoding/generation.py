"""One entry for every decoding strategy."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GenerationConfig

from goa.decoding.drawing import draw, truncate, uniforms
from goa.decoding.settings import BeamSettings, GreedySettings, SampleSettings, StrategySettings
from goa.decoding.stepwise import Choose, Decoded, decode, greedy_choice
from goa.policies.policy import Policy, Tokens


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
) -> Candidates:
    """Write K candidates for each of B sources; each source is encoded once.

    Args:
        policy: who writes; must be in evaluation mode (no dropout).
        sources: B tokenized sources.
        strategy: how to write, and how many.
        seed: of the draws.
        keys: B names of the sources; equal seed and key give equal draws in any batch.

    Candidates that reach the length limit are cut there, without an end token.
    """
    decoded = _decode(policy, sources, strategy, seed, keys)
    shape = (len(sources.ids), strategy.candidates, -1)
    ids, lengths = decoded.tokens.tolist(), decoded.mask.sum(dim=1).tolist()
    texts = policy.texts([row[:length] for row, length in zip(ids, lengths, strict=True)])
    return Candidates(
        tokens=decoded.tokens.view(shape),
        mask=decoded.mask.view(shape),
        log_probs=decoded.log_probs.view(shape),
        texts=tuple(
            tuple(texts[start : start + strategy.candidates])
            for start in range(0, len(texts), strategy.candidates)
        ),
    )


def _decode(
    policy: Policy, sources: Tokens, strategy: StrategySettings, seed: int, keys: Sequence[str]
) -> Decoded:
    limit = min(strategy.max_tokens, policy.max_positions or strategy.max_tokens)
    if isinstance(strategy, BeamSettings):
        return _beam(policy, sources, strategy, limit)
    choose: Choose = greedy_choice
    if isinstance(strategy, SampleSettings):
        choose = _sampler(strategy, uniforms(seed, keys, strategy.candidates, limit), policy)
    with torch.no_grad():
        encoded = policy.encode(sources).expand(strategy.candidates)
    return decode(policy, encoded, choose, limit)


def _sampler(strategy: SampleSettings, noise: Tensor, policy: Policy) -> Choose:
    noise = noise.to(policy.device)

    def choose(logits: Tensor, rows: Tensor, step: int) -> Tensor:
        return draw(truncate(logits, strategy), noise[rows, step])

    return choose


@torch.no_grad()
def _beam(policy: Policy, sources: Tokens, strategy: BeamSettings, limit: int) -> Decoded:
    """Beam search by transformers; the log-probabilities come from a teacher-forced pass."""
    written = policy.model.generate(
        input_ids=sources.ids,
        attention_mask=sources.mask.long(),
        generation_config=GenerationConfig(
            num_beams=strategy.num_beams,
            num_return_sequences=strategy.num_candidates,
            length_penalty=strategy.length_penalty,
            max_length=limit + 1,  # theirs counts the start token
            do_sample=False,
            decoder_start_token_id=policy.start_id,
            eos_token_id=policy.end_id,
            pad_token_id=policy.pad_id,
        ),
    )
    tokens = written[:, 1:]  # without the start token
    before_end = (tokens == policy.end_id).long().cumsum(dim=1) - (tokens == policy.end_id).long()
    mask = before_end == 0
    grouped = (len(sources.ids), strategy.num_candidates, tokens.shape[1])
    log_probs = policy.score(sources, tokens.view(grouped), mask.view(grouped)).log_probs
    return Decoded(tokens=tokens, mask=mask, log_probs=log_probs.view(tokens.shape))


GREEDY = GreedySettings(kind="greedy")
"""Greedy decoding with its default length limit."""
