"""What may come next, by what is written so far, and how long candidates may be."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from goa.decoding.settings import ConstraintSettings
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens


def length_limits(policy: Policy, sources: Tokens, settings: ConstraintSettings) -> Tensor:
    """Give the most tokens that a candidate of each of B sources may have, [B]; 1 at least.

    Raises:
        PolicyError: nothing can be written for a source.
    """
    limits = torch.full((len(sources.ids),), settings.max_tokens, device=policy.device)
    if settings.max_source_ratio is not None:
        lengths = sources.mask.sum(dim=1).double() * settings.max_source_ratio
        limits = limits.minimum(lengths.floor().long().clamp(min=1))
    room = policy.room(sources)
    return limits if room is None else limits.minimum(room)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Changes the scores of next tokens.

    Equal to transformers' processors of the same settings, but that these take whatever the decoder
    has read as written: the prompt, or the start token. Here only the candidate counts. A prompt
    is what is to be said in other words, or copied from; and where the start token is the end token
    too, as BART's, the end would be a repetition from the first.
    """

    settings: ConstraintSettings
    end_id: int
    shortest: Tensor | None
    """[B] tokens that come before the end token at least; None: the end may come at once."""

    def for_each(self, num_candidates: int) -> "Constraints":
        """Give what constrains K candidates of each source as if each had one of its own."""
        if self.shortest is None:
            return self
        return replace(self, shortest=self.shortest.repeat_interleave(num_candidates))

    def apply(self, scores: Tensor, written: Tensor, sources: Tensor) -> Tensor:
        """Give other scores; the given are left as they are.

        Args:
            scores: [R, V] logits or log-probabilities. As in transformers the penalty of a
                repetition is not the same for both.
            written: [R, t] the candidates so far.
            sources: [R] which of the B sources each candidate is of.
        """
        settings = self.settings
        if settings.repetition_penalty != 1.0:
            scores = _penalise(scores, written, settings.repetition_penalty)
        if settings.no_repeat_ngram is not None:
            scores = _ban_ngrams(scores, written, settings.no_repeat_ngram)
        if self.shortest is not None:
            scores = self._hold_back_end(scores, written.shape[1], sources)
        return scores

    def _hold_back_end(self, scores: Tensor, length: int, sources: Tensor) -> Tensor:
        assert self.shortest is not None
        # As many different tokens could be all that there are: then nothing but the end is left.
        if length >= scores.shape[1] - 1:
            return scores
        ends = scores[:, self.end_id].masked_fill(self.shortest[sources] > length, -torch.inf)
        scores = scores.clone()
        scores[:, self.end_id] = ends
        return scores


def constraints_of(
    policy: Policy, sources: Tokens, settings: ConstraintSettings
) -> Constraints | None:
    """Give the constraints that settings make; None: none."""
    shortest = _shortest(sources, settings)
    repeats = settings.repetition_penalty == 1.0 and settings.no_repeat_ngram is None
    if repeats and shortest is None:
        return None
    return Constraints(settings=settings, end_id=policy.end_id, shortest=shortest)


def _shortest(sources: Tokens, settings: ConstraintSettings) -> Tensor | None:
    ratio = settings.min_source_ratio
    if settings.min_tokens == 0 and ratio is None:
        return None
    lengths = sources.mask.sum(dim=1).double() * (ratio or 0.0)
    return lengths.ceil().long().clamp(min=settings.min_tokens)


def _penalise(scores: Tensor, written: Tensor, penalty: float) -> Tensor:
    """Divide what is above 0 of tokens that were written by the penalty; multiply what is below."""
    found = scores.gather(1, written)
    return scores.scatter(1, written, torch.where(found < 0, found * penalty, found / penalty))


def _ban_ngrams(scores: Tensor, written: Tensor, size: int) -> Tensor:
    """Set the scores to minus infinity of tokens that would end an n-gram a second time."""
    length = written.shape[1]
    if length < size:
        return scores
    ngrams = written.unfold(1, size, 1)
    newest = written[:, length - size + 1 :].unsqueeze(1)
    repeated = (ngrams[:, :, :-1] == newest).all(dim=2)
    last = ngrams[:, :, -1]
    bound = torch.where(repeated, -torch.inf, torch.inf).to(scores.dtype)
    return scores.scatter_reduce(1, last, bound, "amin")
