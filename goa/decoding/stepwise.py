"""Greedy decoding and sampling: one loop over next-token logits."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from goa.decoding.constraints import Constraints
from goa.policies.policy import Policy
from goa.policies.writing import Writing

Choose = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""(logits [R, V], rows [R], step) -> tokens [R], normaliser log sum exp of the logits [R].

Rows are the candidates' original positions."""

COMPACT_BELOW = 0.7
"""Finished rows leave the batch once less than this share is still running."""
LOOK_EVERY = {"cpu": 1}
"""Tokens between two looks at which rows have finished; on other devices a look means waiting."""
LOOK_EVERY_ELSEWHERE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Candidates as ids, with the policy's own log-probability of every token."""

    tokens: Tensor
    """[R, T] int64, the end token included; padding where the mask is False."""
    mask: Tensor
    """[R, T] bool."""
    log_probs: Tensor
    """[R, T] under the policy itself, whatever shaped the draw; 0 where the mask is False."""


@torch.no_grad()
def decode(
    policy: Policy,
    writing: Writing,
    choose: Choose,
    limits: Tensor,
    constraints: Constraints | None = None,
) -> Decoded:
    """Write one candidate per row, of at most limits [R] tokens.

    Nothing is written after the end token, and no log-probability counted.
    """
    num_rows, device, max_tokens = len(limits), limits.device, int(limits.max())
    tokens = torch.full((num_rows, max_tokens), policy.pad_id, device=device)
    log_probs = torch.zeros((num_rows, max_tokens), device=device)
    lengths = limits.clone()
    rows = torch.arange(num_rows, device=device)
    look_every = LOOK_EVERY.get(device.type, LOOK_EVERY_ELSEWHERE)
    for step in range(max_tokens):
        logits = writing.logits
        if constraints is None:
            last, normaliser = choose(logits, rows, step)
        else:
            last, _ = choose(constraints.apply(logits, tokens[rows, :step], rows), rows, step)
            normaliser = logits.logsumexp(dim=1)
        # Rows that have ended stay in the batch until it is compacted: what they get is masked.
        tokens[rows, step] = last
        log_probs[rows, step] = logits.gather(1, last.unsqueeze(1)).squeeze(1) - normaliser
        known = lengths[rows]
        lengths[rows] = torch.where(last == policy.end_id, known.clamp(max=step + 1), known)
        if step + 1 == max_tokens:
            break
        if (step + 1) % look_every == 0:
            alive = (lengths[rows] > step + 1).nonzero().squeeze(1)
            if len(alive) == 0:
                break
            if len(alive) < COMPACT_BELOW * len(rows):
                rows, last = rows[alive], last[alive]
                writing.select(alive)
        writing.advance(last)
    return lay_out(tokens, log_probs, lengths, policy.pad_id)


def lay_out(tokens: Tensor, log_probs: Tensor, lengths: Tensor, pad_id: int) -> Decoded:
    """Cut candidates [R, T] to their lengths [R], and all to the longest."""
    width = int(lengths.max())
    mask = torch.arange(width, device=lengths.device) < lengths.unsqueeze(1)
    return Decoded(
        tokens=tokens[:, :width].masked_fill(~mask, pad_id),
        mask=mask,
        log_probs=log_probs[:, :width].masked_fill(~mask, 0.0),
    )


def greedy_choice(logits: Tensor, rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Choose the likeliest token of each row."""
    del rows, step
    return logits.argmax(dim=1), logits.logsumexp(dim=1)


def move(writing: Writing, rows: Tensor) -> None:
    """Let each row go on from another [R], where it is another; the logits are forgotten."""
    if torch.equal(rows, torch.arange(len(writing.logits), device=rows.device)):
        return
    writing.logits = writing.logits[:, :0]  # they would be copied
    writing.select(rows)
