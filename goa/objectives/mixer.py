"""Likelihood on a prefix, policy gradient after it."""

from dataclasses import replace
from typing import Literal

from pydantic import field_validator

from goa.objectives.contract import Batch, Loss, OverCandidates, given
from goa.objectives.ramp import RampSettings
from goa.objectives.reinforce import PolicyGradientSettings, Reinforce


class MixerSettings(PolicyGradientSettings):
    """The reference's beginning is given and learnt by heart, the rest is the policy's own."""

    kind: Literal["mixer"]
    prefix: RampSettings = RampSettings(start=0.75, end=0.0, rounds=100)
    """Share of the reference's tokens that is given, round by round."""

    @field_validator("prefix")
    @classmethod
    def _a_share_is_at_most_one(cls, prefix: RampSettings) -> RampSettings:
        if max(prefix.start, prefix.end) > 1.0:
            raise ValueError("a share of the reference lies between 0 and 1")
        return prefix


class Mixer(OverCandidates):
    """MIXER (Ranzato et al., 2016, algorithm 1).

    Of a candidate whose first s tokens are the reference's and whose rest is drawn,
    ``loss = -sum_(t<=s) log p(y_t) - w sum_(t>s) (r - b) log p(y_t)``. Weight: candidates.

    Departures from the paper:

    1. The prefix shrinks in a straight line, as a share of each reference, not by a fixed number of
       tokens every few epochs.
    2. The baseline is one of ``BASELINES``; the paper's, a regression on the state, is ``critic``.
    3. K candidates share a source's prefix: its likelihood counts once, as their mean.
    4. The drawn part has the importance weight w of :class:`Reinforce`.
    """

    def __init__(self, settings: MixerSettings) -> None:
        self._after_the_prefix = Reinforce(settings)
        self.needs = self._after_the_prefix.needs | {"prefix"}

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss of candidates that come with rewards and say what of them was given.

        Raises:
            ValueError: the batch lacks one of these, or what the baseline looks at.
        """
        prefix = given(batch.prefix_mask, "to know what of the candidates was given", "mixer")
        written = batch.written_log_probs
        drawn = replace(
            batch,
            mask=batch.mask & ~prefix,
            log_probs=batch.log_probs.masked_fill(prefix, 0.0),
            written_log_probs=None if written is None else written.masked_fill(prefix, 0.0),
        )
        found = self._after_the_prefix(drawn)
        known_by_heart = batch.log_probs.masked_fill(~prefix, 0.0).sum()
        share = (float(prefix.sum()), float(batch.mask.sum()))
        return Loss(
            sum=found.sum - known_by_heart,
            diagnostics={**found.diagnostics, "prefix_share": share},
        )
