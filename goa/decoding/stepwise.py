"""Greedy decoding and sampling: one loop over next-token logits."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from goa.decoding.constraints import Constraints
from goa.decoding.recording import Record, Repeated
from goa.policies.policy import Policy
from goa.policies.writing import Writing

Choose = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(logits [R, V], rows [R], step [1]) -> tokens [R], normaliser log sum exp of the logits [R].

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
    record: Record | None = None,
) -> Decoded:
    """Write one candidate per row, of at most limits [R] tokens.

    Nothing is written after the end token, and no log-probability counted. Steps with constraints
    cannot be recorded.
    """
    drawn = _Drawn(policy, writing, choose, limits, constraints)
    drawn.choose_next()
    going_on = Repeated(drawn.go_on, record)
    look_every = LOOK_EVERY.get(limits.device.type, LOOK_EVERY_ELSEWHERE)
    for length in range(1, drawn.max_tokens):
        if length % look_every == 0:
            alive = drawn.alive()
            if len(alive) == 0:
                break
            if len(alive) < COMPACT_BELOW * len(drawn.rows):
                drawn.select(alive)
                going_on.forget()
        if not writing.stays(length):
            going_on.forget()
        drawn.length = length
        going_on.run()
    return drawn.found()


class _Drawn:
    """What is written of R candidates, and who of them goes on."""

    def __init__(
        self,
        policy: Policy,
        writing: Writing,
        choose: Choose,
        limits: Tensor,
        constraints: Constraints | None,
    ) -> None:
        self._end_id, self._pad_id = policy.end_id, policy.pad_id
        self._writing = writing
        self._choose = choose
        self._constraints = constraints
        device = limits.device
        self.max_tokens = int(limits.max())
        self._tokens = torch.full((len(limits), self.max_tokens), self._pad_id, device=device)
        self._log_probs = torch.zeros((len(limits), self.max_tokens), device=device)
        self._lengths = limits.clone()
        self.rows = torch.arange(len(limits), device=device)
        """[R'] those that go on."""
        self._last = torch.zeros_like(self.rows)
        self.length = 0
        """Tokens so far."""
        self._step = torch.zeros(1, dtype=torch.int64, device=device)
        """The same, [1], for the device to know."""

    def choose_next(self) -> None:
        """Choose the next tokens, and write them down."""
        logits, rows, step = self._writing.logits, self.rows, self._step
        if self._constraints is None:
            last, normaliser = self._choose(logits, rows, step)
        else:
            written = self._tokens[rows, : self.length]
            last, _ = self._choose(self._constraints.apply(logits, written, rows), rows, step)
            normaliser = logits.logsumexp(dim=1)
        # Rows that have ended stay in the batch until it is compacted: what they get is masked.
        self._tokens[rows, step] = last
        self._log_probs[rows, step] = logits.gather(1, last.unsqueeze(1)).squeeze(1) - normaliser
        known = self._lengths[rows]
        ended = torch.where(last == self._end_id, known.minimum(step + 1), known)
        self._lengths[rows] = ended
        self._last.copy_(last)
        self._step += 1

    def go_on(self) -> None:
        """Take in the tokens that were chosen, and choose the next."""
        self._writing.advance(self._last)
        self.choose_next()

    def alive(self) -> Tensor:
        """Find the places of those that have not ended; off a CPU that means waiting for them."""
        return (self._lengths[self.rows] > self._step).nonzero().squeeze(1)

    def select(self, places: Tensor) -> None:
        """Go on with those in these places alone."""
        self.rows, self._last = self.rows[places], self._last[places]
        self._writing.select(places)

    def found(self) -> Decoded:
        """Give all that is written."""
        return lay_out(self._tokens, self._log_probs, self._lengths, self._pad_id)


def lay_out(tokens: Tensor, log_probs: Tensor, lengths: Tensor, pad_id: int) -> Decoded:
    """Cut candidates [R, T] to their lengths [R], and all to the longest."""
    width = int(lengths.max())
    mask = torch.arange(width, device=lengths.device) < lengths.unsqueeze(1)
    return Decoded(
        tokens=tokens[:, :width].masked_fill(~mask, pad_id),
        mask=mask,
        log_probs=log_probs[:, :width].masked_fill(~mask, 0.0),
    )


def greedy_choice(logits: Tensor, rows: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the likeliest token of each row."""
    del rows, step
    return logits.argmax(dim=1), logits.logsumexp(dim=1)


def move(writing: Writing, rows: Tensor) -> None:
    """Let each row go on from another [R], where it is another; the logits are forgotten."""
    if torch.equal(rows, torch.arange(len(writing.logits), device=rows.device)):
        return
    writing.logits = writing.logits[:, :0]  # they would be copied
    writing.select(rows)
