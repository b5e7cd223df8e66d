"""Decoding strategies and their settings."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from goa.settings import Name, Settings


class ConstraintSettings(Settings):
    """What every strategy has: how long candidates may be, and what may come next.

    Only what a candidate says itself is a repetition, not what its source or prompt says. The
    log-probabilities of candidates are the policy's own, whatever constrains them.
    """

    max_tokens: int = Field(128, ge=1, le=10_000_000)
    """Longest candidate in tokens, the end token included."""
    min_tokens: int = Field(0, ge=0)
    """Tokens that come before the end token at least."""
    max_source_ratio: float | None = Field(None, gt=0.0, le=1000.0)
    """Longest candidate in tokens per token of what the policy reads (the prompt, if it has one),
    rounded down."""
    min_source_ratio: float | None = Field(None, gt=0.0, le=1000.0)
    """Tokens that come before the end token at least, per token of what the policy reads, rounded
    up."""
    repetition_penalty: float = Field(1.0, gt=0.0, le=10.0)
    """Divides the scores above 0 of tokens that the candidate has already, and multiplies those
    below (Keskar et al., 2019); above 1 against repetitions."""
    no_repeat_ngram: int | None = Field(None, ge=1)
    """No run of so many tokens comes twice."""

    @model_validator(mode="after")
    def _limits_leave_something(self) -> Self:
        if self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens ({self.min_tokens}) exceeds max_tokens")
        low, high = self.min_source_ratio, self.max_source_ratio
        if low is not None and high is not None and low > high:
            raise ValueError(f"min_source_ratio ({low}) exceeds max_source_ratio ({high})")
        return self


class GreedySettings(ConstraintSettings):
    """The likeliest token at every step: one candidate."""

    kind: Literal["greedy"]

    @property
    def candidates(self) -> int:
        """Candidates per source, K."""
        return 1


class _BeamSettings(ConstraintSettings):
    num_beams: int = Field(4, ge=2, le=100_000)
    """Candidates that are followed for a source, in all groups together."""
    num_candidates: int = Field(1, ge=1, le=100_000)
    """Of the beam, best first."""
    length_penalty: float = Field(1.0, ge=0.0, le=5.0)
    """Exponent of the length that a candidate's log-probability is divided by."""
    early_stopping: bool | Literal["never"] = False
    """When a source's search is over. true: as soon as num_beams candidates have ended; false: as
    soon as none of them is worse than the best of those that go on is now, which may be too early
    where a length_penalty favours long ones; never: only when none of those could become better."""

    @model_validator(mode="after")
    def _beam_holds_the_candidates(self) -> Self:
        if self.num_candidates > self.num_beams:
            raise ValueError(
                f"num_candidates ({self.num_candidates}) exceeds num_beams ({self.num_beams})"
            )
        return self

    @property
    def candidates(self) -> int:
        """Candidates per source, K."""
        return self.num_candidates


class BeamSettings(_BeamSettings):
    """Beam search; the best candidates of the beam, best first."""

    kind: Literal["beam"]

    @property
    def groups(self) -> int:
        """Searches per source."""
        return 1


class DiverseBeamSettings(_BeamSettings):
    """Beam search in groups, each of which avoids what those before it say in the same place.

    The best of each group come first, then the second best; among these, the best first.
    """

    kind: Literal["diverse_beam"]
    num_candidates: int = Field(4, ge=1, le=100_000)
    num_groups: int = Field(4, ge=2, le=100_000)
    """num_beams is divided among so many."""
    diversity: float = Field(0.5, ge=0.0, le=100.0)
    """Taken off the log-probability of a token for each beam of earlier groups that goes on with it
    (Vijayakumar et al., 2018)."""

    @model_validator(mode="after")
    def _groups_are_alike(self) -> Self:
        if self.num_beams % self.num_groups:
            raise ValueError(
                f"num_beams ({self.num_beams}) is no multiple of num_groups ({self.num_groups})"
            )
        return self

    @property
    def groups(self) -> int:
        """Searches per source."""
        return self.num_groups


class StochasticBeamSettings(ConstraintSettings):
    """Draws without replacement (Kool et al., 2019); the first is a draw from the policy."""

    kind: Literal["stochastic_beam"]
    num_candidates: int = Field(8, ge=2, le=100_000)
    """Draws for each source, all different where there are so many."""
    temperature: float = Field(1.0, gt=0.0, le=10.0)
    """Divides the logits: below 1 sharper, above 1 flatter."""

    @property
    def candidates(self) -> int:
        """Candidates per source, K."""
        return self.num_candidates


class _DrawingSettings(ConstraintSettings):
    num_candidates: int = Field(8, ge=1, le=100_000)
    """Draws for each source."""
    temperature: float = Field(1.0, gt=0.0, le=10.0)
    """Divides the logits: below 1 sharper, above 1 flatter."""
    top_k: int | None = Field(None, ge=1)
    """Draw among this many likeliest tokens."""
    top_p: float | None = Field(None, gt=0.0, le=1.0)
    """Draw among the likeliest tokens that together reach this mass (Holtzman et al., 2020)."""
    min_p: float | None = Field(None, ge=0.0, le=1.0)
    """Draw among tokens that are at least so likely, as a share of the likeliest's probability
    (Nguyen et al., 2024)."""
    epsilon: float | None = Field(None, gt=0.0, lt=1.0)
    """Draw among tokens of at least this probability (Hewitt et al., 2022), or the likeliest."""


class SampleSettings(_DrawingSettings):
    """Independent draws from the policy, or from a sharpened or truncated form of it."""

    kind: Literal["sample"]

    @property
    def candidates(self) -> int:
        """Candidates per source, K."""
        return self.num_candidates


_Alone = (
    GreedySettings | BeamSettings | DiverseBeamSettings | StochasticBeamSettings | SampleSettings
)
StrategySettings = Annotated[_Alone, Field(discriminator="kind")]
"""What a policy does by itself."""


class _ChoosingSettings(_DrawingSettings):
    num_candidates: int = Field(8, ge=2, le=100_000)
    """Draws per source that one is chosen from."""
    evaluator: str = Field(min_length=1)
    """Who chooses: a name under evaluators or evaluate.metrics."""

    @property
    def drawn(self) -> StrategySettings:
        """How the candidates are written: the very draws of a sample with these settings."""
        shared = self.model_dump(include=set(_DrawingSettings.model_fields))
        return SampleSettings(kind="sample", **shared)


class BestOfSettings(_ChoosingSettings):
    """The draw that an evaluator scores highest; see :func:`goa.decoding.choosing.preferences`."""

    kind: Literal["best_of"]
    log_prob_weight: float = Field(0.0, ge=0.0, le=100.0)
    """Weight of the policy's own log-probability beside the log-odds of the score."""
    write: StrategySettings | None = None
    """Choose among the candidates of this strategy, such as a beam's; none named means draws, with
    the settings beside."""

    @model_validator(mode="after")
    def _candidates_are_described_once(self) -> Self:
        if self.write is None:
            return self
        if self.write.candidates < 2:
            raise ValueError("write gives one candidate, which leaves nothing to choose")
        for name, field in _DrawingSettings.model_fields.items():
            if getattr(self, name) != field.default:
                raise ValueError(f"{name} stands beside write, which says all of it; put it there")
        return self

    @property
    def drawn(self) -> StrategySettings:
        """How the candidates are written."""
        return super().drawn if self.write is None else self.write


class MbrSettings(_ChoosingSettings):
    """The draw closest to the others; see :func:`goa.decoding.choosing.expected_utilities`."""

    kind: Literal["mbr"]


ChoosingSettings = BestOfSettings | MbrSettings
"""What needs an evaluator to write with, and so is for outputs alone, not for training."""

DecodingSettings = Annotated[_Alone | ChoosingSettings, Field(discriminator="kind")]
"""Every way from a source to a text."""


class GenerateSettings(Settings):
    """What goes into the candidate pool."""

    num_sources: int | None = Field(None, ge=1)
    """Training sources, chosen at random; none named means all."""
    strategies: dict[Name, StrategySettings] = Field(min_length=1)
    """How candidates are written, by the name they are filed under."""

    def names(self, kind: str) -> list[str]:
        """Name the strategies of one kind, in the order of the file."""
        return [name for name, strategy in self.strategies.items() if strategy.kind == kind]
