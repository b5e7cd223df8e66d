"""Beam search."""

import torch
from torch import Tensor

from goa.decoding.constraints import Constraints
from goa.decoding.hypotheses import Hypotheses, Proposals, best_continuations
from goa.decoding.settings import BeamSettings
from goa.decoding.stepwise import Decoded, lay_out
from goa.policies.policy import Policy, Writing
from goa.policies.tokens import Tokens


@torch.no_grad()
def beam_search(
    policy: Policy,
    sources: Tokens,
    strategy: BeamSettings,
    limits: Tensor,
    constraints: Constraints | None,
) -> Decoded:
    """Write the best candidates of a beam for each of B sources, of at most limits [B] tokens.

    Gives what ``generate`` of transformers 5.23 gives. At every step the 2K best continuations of a
    source's K candidates are looked at: those of the first K that end there compete for the K
    places of ended candidates, by ``log p / length ** length_penalty``, and the K best that end
    nothing go on. A source leaves the batch as soon as its search is over.

    Departure: where fewer candidates than are asked for can be written at all, the best is given
    again; transformers gives empty ones.
    """
    search = _Search(policy, strategy, limits, constraints)
    search.run(policy.start(sources, 1))
    found = search.ended.best(strategy.num_candidates)
    tokens, log_probs = found.tokens.flatten(0, 1), found.log_probs.flatten(0, 1)
    return lay_out(tokens, log_probs, found.lengths.flatten(), policy.pad_id)


class _Search:
    """The searches of B sources, of which N are not over yet."""

    def __init__(
        self,
        policy: Policy,
        strategy: BeamSettings,
        limits: Tensor,
        constraints: Constraints | None,
    ) -> None:
        self._end_id = policy.end_id
        self._strategy = strategy
        self._limits = limits
        self._constraints = constraints
        shape = (len(limits), strategy.num_beams, int(limits.max()))
        self.ended = Hypotheses.none_yet(shape, policy.pad_id, limits.device)
        self._running = Hypotheses.none_yet(shape, policy.pad_id, limits.device)
        self._running.scores[:, 0] = 0.0
        self._left = torch.arange(len(limits), device=limits.device)

    def run(self, writing: Writing) -> None:
        """Search to the end, from one candidate without a token for each source."""
        width = 1
        for length in range(int(self._limits.max())):
            proposals = self._propose(writing.logits, width, length)
            self._end(proposals, length)
            chosen = proposals.going_on(self._strategy.num_beams)
            self._running.go_on(chosen, length)
            rows, last = _rows(chosen.parents, width), chosen.tokens
            over = self._over(length + 1)
            if over.any():
                rows, last = rows[~over], last[~over]
                self._running, self._left = self._running[~over], self._left[~over]
            if len(rows) == 0:
                break
            _move(writing, rows.flatten())
            writing.advance(last.flatten())
            width = self._strategy.num_beams

    def _propose(self, logits: Tensor, width: int, length: int) -> Proposals:
        """Find the best continuations of each source's candidates, of which there are W."""
        normaliser = logits.logsumexp(dim=1)
        values, offsets = logits, self._running.scores[:, :width]
        if self._constraints is None:
            offsets = offsets - normaliser.view(-1, width)
        else:
            written = self._running.tokens[:, :width, :length].flatten(0, 1)
            sources = self._left.repeat_interleave(width)
            values = logits - normaliser.unsqueeze(1)
            values = self._constraints.apply(values, written, sources)
        scores, parents, tokens = best_continuations(
            values.view(-1, width, logits.shape[1]), offsets, 2 * self._strategy.num_beams
        )
        rows = _rows(parents, width)
        limits = self._limits[self._left].unsqueeze(1)
        return Proposals(
            scores=scores,
            parents=parents,
            tokens=tokens,
            log_probs=logits[rows, tokens] - normaliser[rows],
            ends=(tokens == self._end_id) | (limits == length + 1),
        )

    def _end(self, proposals: Proposals, length: int) -> None:
        """Put what ends with these tokens among the candidates that have ended."""
        divisor = (length + 1) ** self._strategy.length_penalty
        ending = proposals.ending(self._strategy.num_beams, divisor)
        some = (ending.scores > -torch.inf).any(dim=1).nonzero().squeeze(1)
        if len(some) > 0:
            ended = self._running[some].with_last(ending[some], length)
            self.ended.take_in(self._left[some], ended)

    def _over(self, length: int) -> Tensor:
        """Say which searches, [N], are over with candidates of so many tokens."""
        strategy, limits = self._strategy, self._limits[self._left]
        worst = self.ended.scores[self._left].amin(dim=1)
        over = limits == length
        if strategy.early_stopping is True:
            over |= worst > -torch.inf
        reach = limits if strategy.early_stopping == "never" else torch.full_like(limits, length)
        best = self._running.scores[:, 0] / reach**strategy.length_penalty
        return over | (best <= worst)


def _rows(parents: Tensor, width: int) -> Tensor:
    """Give the rows of candidates [N, M] of N sources that have W rows each."""
    return parents + width * torch.arange(len(parents), device=parents.device).unsqueeze(1)


def _move(writing: Writing, rows: Tensor) -> None:
    """Let each row go on from another, where it is another."""
    if torch.equal(rows, torch.arange(len(writing.logits), device=rows.device)):
        return
    # They have been looked at, and would be copied.
    writing.logits = writing.logits[:, :0]
    writing.select(rows)
