"""Beam search."""

import torch
from torch import Tensor

from goa.decoding.constraints import Constraints
from goa.decoding.hypotheses import Hypotheses, Proposals, best_continuations
from goa.decoding.settings import BeamSettings, DiverseBeamSettings
from goa.decoding.stepwise import Decoded, lay_out, move
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from goa.policies.writing import Writing


@torch.no_grad()
def beam_search(
    policy: Policy,
    sources: Tokens,
    strategy: BeamSettings | DiverseBeamSettings,
    limits: Tensor,
    constraints: Constraints | None,
) -> Decoded:
    """Write the best candidates of a beam for each of B sources, of at most limits [B] tokens.

    Gives what ``generate`` of transformers 5.23 gives. At every step the 2K best continuations of a
    source's K candidates are looked at: those of the first K that end there compete for the K
    places of ended candidates, by ``log p / length ** length_penalty``, and the K best that end
    nothing go on. A source leaves the batch as soon as its search is over.

    In diverse beam search (Vijayakumar et al., 2018) each group is such a search of its own. A
    token's score is lowered for each beam of earlier groups that goes on with the same token at
    the same step (Hamming diversity), and what is taken off once stays off the candidate's score.

    Departure: where fewer candidates than are asked for can be written at all, the best is given
    again; transformers gives empty ones.
    """
    search = _Search(policy, strategy, limits, constraints)
    search.run(policy.start(sources, 1))
    found = search.ended.joined(strategy.groups).best(strategy.num_candidates)
    tokens, log_probs = found.tokens.flatten(0, 1), found.log_probs.flatten(0, 1)
    return lay_out(tokens, log_probs, found.lengths.flatten(), policy.pad_id)


class _Search:
    """The searches of B sources, G of each, of which U are left in the batch."""

    def __init__(
        self,
        policy: Policy,
        strategy: BeamSettings | DiverseBeamSettings,
        limits: Tensor,
        constraints: Constraints | None,
    ) -> None:
        self._end_id = policy.end_id
        self._strategy = strategy
        self._groups = strategy.groups
        self._num_beams = strategy.num_beams // strategy.groups
        self._limits = limits.repeat_interleave(self._groups)
        self._constraints = constraints
        shape = (len(self._limits), self._num_beams, int(limits.max()))
        self.ended = Hypotheses.none_yet(shape, policy.pad_id, limits.device)
        self._running = Hypotheses.none_yet(shape, policy.pad_id, limits.device)
        self._running.scores[:, 0] = 0.0
        self._left = torch.arange(len(self._limits), device=limits.device)

    def run(self, writing: Writing) -> None:
        """Search to the end, from one candidate without a token for each source."""
        rows = self._left.unsqueeze(1) // self._groups
        for length in range(int(self._limits.max())):
            proposals = self._propose(writing.logits, rows, length)
            self._end(proposals, length)
            chosen = proposals.going_on(self._num_beams)
            self._running.go_on(chosen, length)
            parents, last = rows.gather(1, chosen.parents), chosen.tokens
            staying = self._stay(length + 1)
            if staying is not None:
                parents, last = parents[staying], last[staying]
            if len(last) == 0:
                break
            move(writing, parents.flatten())
            writing.advance(last.flatten())
            rows = torch.arange(last.numel(), device=last.device).view(last.shape)

    def _propose(self, logits: Tensor, rows: Tensor, length: int) -> Proposals:
        """Find the best continuations of each search's candidates, which have these rows [U, W]."""
        normaliser = logits.logsumexp(dim=1)
        values, offsets = logits, self._running.scores[:, : rows.shape[1]]
        if self._constraints is None:
            offsets = offsets - normaliser[rows]
        else:
            values = self._constrained(logits - normaliser.unsqueeze(1), rows, length)
        scores, parents, tokens = self._continuations(values, rows, offsets)
        chosen = rows.gather(1, parents)
        limits = self._limits[self._left].unsqueeze(1)
        return Proposals(
            scores=scores,
            parents=parents,
            tokens=tokens,
            log_probs=logits[chosen, tokens] - normaliser[chosen],
            ends=(tokens == self._end_id) | (limits == length + 1),
        )

    def _constrained(self, log_probs: Tensor, rows: Tensor, length: int) -> Tensor:
        assert self._constraints is not None
        if length == 0:  # groups share a row
            sources = self._left[:: self._groups] // self._groups
            return self._constraints.apply(log_probs, log_probs.new_empty(len(sources), 0), sources)
        written = self._running.tokens[:, :, :length].flatten(0, 1)
        sources = self._left.repeat_interleave(rows.shape[1]) // self._groups
        return self._constraints.apply(log_probs, written, sources)

    def _continuations(
        self, values: Tensor, rows: Tensor, offsets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Give scores, parents and tokens, [U, M] each, group by group."""
        count, size = 2 * self._num_beams, values.shape[1]
        if isinstance(self._strategy, BeamSettings):
            return best_continuations(values.view(*rows.shape, size), offsets, count)
        shape = (-1, self._groups, rows.shape[1])
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        lowered = torch.zeros(len(rows) // self._groups, size, device=values.device)
        for group in range(self._groups):
            mine = values[rows.view(shape)[:, group]] - lowered.unsqueeze(1)
            parts.append(best_continuations(mine, offsets.view(shape)[:, group], count))
            scores, _, tokens = parts[-1]
            best = scores.masked_fill(tokens == self._end_id, -torch.inf).topk(self._num_beams)
            price = (best.values > -torch.inf) * self._strategy.diversity
            lowered.scatter_add_(1, tokens.gather(1, best.indices), price.to(lowered.dtype))
        scores, parents, tokens = (
            torch.stack(each, dim=1).flatten(0, 1) for each in zip(*parts, strict=True)
        )
        return scores, parents, tokens

    def _end(self, proposals: Proposals, length: int) -> None:
        """Put what ends with these tokens among the candidates that have ended."""
        divisor = (length + 1) ** self._strategy.length_penalty
        ending = proposals.ending(self._num_beams, divisor)
        some = (ending.scores > -torch.inf).any(dim=1).nonzero().squeeze(1)
        if len(some) > 0:
            ended = self._running[some].with_last(ending[some], length)
            self.ended.take_in(self._left[some], ended)

    def _stay(self, length: int) -> Tensor | None:
        """Let sources leave whose searches are over after so many tokens.

        Returns which searches stay, [U] bool; None: all. One that is over and stays with other
        groups of its source has no more candidates, so that nothing comes of it.
        """
        over = self._over(length)
        if not over.any():
            return None
        self._running.scores[over] = -torch.inf
        over = over.view(-1, self._groups).all(dim=1).repeat_interleave(self._groups)
        if not over.any():
            return None
        self._running, self._left = self._running[~over], self._left[~over]
        return ~over

    def _over(self, length: int) -> Tensor:
        """Say which searches, [U], are over with candidates of so many tokens."""
        strategy, limits = self._strategy, self._limits[self._left]
        worst = self.ended.scores[self._left].amin(dim=1)
        over = limits == length
        if strategy.early_stopping is True:
            over |= worst > -torch.inf
        reach = limits if strategy.early_stopping == "never" else torch.full_like(limits, length)
        best = self._running.scores[:, 0] / reach**strategy.length_penalty
        return over | (best <= worst)
