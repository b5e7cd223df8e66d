"""What a beam search keeps: tokens that could come next, and candidates with their scores."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposals:
    """M tokens that could come next in each of U searches, best first."""

    scores: Tensor
    """[U, M] of the candidate with this token; minus infinity where there is no such token."""
    parents: Tensor
    """[U, M] int64, which of the search's candidates the token continues."""
    tokens: Tensor
    """[U, M] int64."""
    log_probs: Tensor
    """[U, M] of the token, under the policy itself."""
    ends: Tensor
    """[U, M] bool, whether the candidate is whole with this token."""

    def __getitem__(self, searches: Tensor) -> "Proposals":
        """Take those of some searches."""
        return Proposals(
            scores=self.scores[searches],
            parents=self.parents[searches],
            tokens=self.tokens[searches],
            log_probs=self.log_probs[searches],
            ends=self.ends[searches],
        )

    def going_on(self, count: int) -> "Proposals":
        """Take the best that end nothing; where those are too few, others of no score."""
        best = self.scores.masked_fill(self.ends, -torch.inf).topk(count, dim=1)
        return Proposals(
            scores=best.values,
            parents=self.parents.gather(1, best.indices),
            tokens=self.tokens.gather(1, best.indices),
            log_probs=self.log_probs.gather(1, best.indices),
            ends=self.ends.gather(1, best.indices),
        )

    def ending(self, count: int, divisor: float) -> "Proposals":
        """Take the first, with their scores divided; what ends nothing has none."""
        scores = (self.scores / divisor).masked_fill(~self.ends, -torch.inf)
        return Proposals(
            scores=scores[:, :count],
            parents=self.parents[:, :count],
            tokens=self.tokens[:, :count],
            log_probs=self.log_probs[:, :count],
            ends=self.ends[:, :count],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypotheses:
    """K candidates in each of U searches, best first, written in place."""

    tokens: Tensor
    """[U, K, T] int64."""
    log_probs: Tensor
    """[U, K, T] under the policy itself."""
    scores: Tensor
    """[U, K]; minus infinity where there is no candidate."""
    lengths: Tensor
    """[U, K] int64, in tokens."""

    @classmethod
    def none_yet(cls, shape: tuple[int, int, int], pad_id: int, device: torch.device) -> Self:
        """Make room for candidates, [U, K, T]."""
        return cls(
            tokens=torch.full(shape, pad_id, device=device),
            log_probs=torch.zeros(shape, device=device),
            scores=torch.full(shape[:2], -torch.inf, device=device),
            lengths=torch.zeros(shape[:2], dtype=torch.int64, device=device),
        )

    def __getitem__(self, searches: Tensor) -> "Hypotheses":
        """Take the candidates of some searches."""
        return Hypotheses(
            tokens=self.tokens[searches],
            log_probs=self.log_probs[searches],
            scores=self.scores[searches],
            lengths=self.lengths[searches],
        )

    def go_on(self, chosen: Proposals, length: int) -> None:
        """Replace all candidates, of so many tokens, by chosen ones of one more."""
        if length > 0:
            parents = chosen.parents.unsqueeze(2).expand(-1, -1, length)
            for kept in (self.tokens, self.log_probs):
                kept[:, :, :length] = kept[:, :, :length].gather(1, parents)
        self.tokens[:, :, length] = chosen.tokens
        self.log_probs[:, :, length] = chosen.log_probs
        self.scores.copy_(chosen.scores)
        self.lengths.fill_(length + 1)

    def with_last(self, last: Proposals, length: int) -> "Hypotheses":
        """Give candidates, of so many tokens, with a token more each: T is length + 1."""
        parents = last.parents.unsqueeze(2).expand(-1, -1, length)

        def longer(kept: Tensor, new: Tensor) -> Tensor:
            return torch.cat([kept[:, :, :length].gather(1, parents), new.unsqueeze(2)], dim=2)

        return Hypotheses(
            tokens=longer(self.tokens, last.tokens),
            log_probs=longer(self.log_probs, last.log_probs),
            scores=last.scores,
            lengths=torch.full_like(last.tokens, length + 1),
        )

    def take_in(self, searches: Tensor, others: "Hypotheses") -> None:
        """Keep the K best of what there is in some searches and of others, as long at least."""
        width, mine = others.tokens.shape[2], self[searches]
        best = torch.cat([mine.scores, others.scores], dim=1).topk(mine.scores.shape[1], dim=1)
        columns = best.indices.unsqueeze(2).expand(-1, -1, width)

        def merged(own: Tensor, new: Tensor) -> Tensor:
            return torch.cat([own[:, :, :width], new], dim=1).gather(1, columns)

        self.tokens[searches, :, :width] = merged(mine.tokens, others.tokens)
        self.log_probs[searches, :, :width] = merged(mine.log_probs, others.log_probs)
        self.scores[searches] = best.values
        lengths = torch.cat([mine.lengths, others.lengths], dim=1)
        self.lengths[searches] = lengths.gather(1, best.indices)

    def joined(self, groups: int) -> "Hypotheses":
        """Join groups of searches, [U / G, K * G]: the best of all first, then the second best."""
        count = self.scores.shape[1]
        scores = self.scores.view(-1, groups, count)
        by_rank = scores.sort(dim=1, descending=True, stable=True)
        searches = by_rank.indices + groups * torch.arange(len(scores), device=scores.device).view(
            -1, 1, 1
        )
        searches = searches.transpose(1, 2).flatten(1)
        places = torch.arange(count, device=scores.device).repeat_interleave(groups)
        return self._at(searches, places.expand(len(searches), -1))

    def best(self, count: int) -> "Hypotheses":
        """Take the first candidates of each search; where there are too few, the best again."""
        places = torch.arange(count, device=self.scores.device).expand(len(self.scores), -1)
        places = places.masked_fill(self.scores[:, :count] == -torch.inf, 0)
        searches = torch.arange(len(places), device=places.device).unsqueeze(1)
        return self._at(searches, places)

    def _at(self, searches: Tensor, places: Tensor) -> "Hypotheses":
        return Hypotheses(
            tokens=self.tokens[searches, places],
            log_probs=self.log_probs[searches, places],
            scores=self.scores[searches, places],
            lengths=self.lengths[searches, places],
        )


def best_continuations(
    values: Tensor, offsets: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Find the best tokens to continue W candidates of each of U searches with.

    Args:
        values: [U, W, V] of the tokens.
        offsets: [U, W] what is added to the values of each candidate's tokens.
        count: M, how many are wanted.

    Returns scores, candidates (0 to W - 1) and tokens, each [U, M], best first. Where there are not
    so many, the last have a score of minus infinity.
    """
    size = values.shape[2]
    # The best of all are among the best of each candidate: sorting W times M is little beside V.
    by_candidate = values.topk(min(count, size), dim=2)
    scores = (by_candidate.values + offsets.unsqueeze(2)).flatten(1)
    best = scores.topk(min(count, scores.shape[1]), dim=1)
    parents = best.indices // by_candidate.values.shape[2]
    tokens = by_candidate.indices.flatten(1).gather(1, best.indices)
    missing = (0, count - best.values.shape[1])
    return (
        pad(best.values, missing, value=-torch.inf),
        pad(parents, missing),
        pad(tokens, missing),
    )
