"""What an evaluation decodes with, and measures by."""

from typing import Annotated

from pydantic import Field, model_validator

from goa.data.noise import NoiseSettings
from goa.decoding.settings import ChoosingSettings, DecodingSettings
from goa.evaluation.judges import check_judge
from goa.evaluators.table import EvaluatorName, EvaluatorSettings, MetricSettings
from goa.settings import Settings

NOISED = "_noised"
StrategyName = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_]*$")]


class EvaluateSettings(Settings):
    """How every policy is decoded on the test split and what its outputs are measured by."""

    strategies: dict[StrategyName, DecodingSettings] = Field(min_length=1)
    """Ways of decoding; the first is the one that verdicts rest on."""
    noise: NoiseSettings | None = None
    """Decode noised sources besides: each strategy once more, under its name with _noised behind,
    measured against the same references. None named means clean sources alone."""
    metrics: dict[EvaluatorName, MetricSettings] = Field(min_length=1)
    """Measured beside the evaluators; the first is the primary metric unless compare names one."""
    resamples: int = Field(1000, ge=1, le=1_000_000)
    """Bootstrap resamples behind each interval."""
    confidence: float = Field(0.95, gt=0.0, lt=1.0)
    """Share of the resampled scores that an interval holds."""
    sources_per_batch: int = Field(64, ge=1)
    """Sources decoded at a time."""

    @model_validator(mode="after")
    def _noised_names_are_free(self) -> "EvaluateSettings":
        taken = {name for name in self.strategies if f"{name}{NOISED}" in self.strategies}
        if self.noise is not None and taken:
            raise ValueError(
                f"{min(taken)}{NOISED} names what {min(taken)} writes for noised sources; "
                "give that strategy another name"
            )
        return self

    def measured_by(
        self, evaluators: dict[EvaluatorName, EvaluatorSettings]
    ) -> dict[EvaluatorName, MetricSettings]:
        """Join metrics and evaluators by name, metrics first.

        A name in both means the evaluator: a policy trained on E is measured by that very E.
        """
        return {**self.metrics, **evaluators}

    def check_strategies(self, evaluators: dict[EvaluatorName, EvaluatorSettings]) -> None:
        """Check that the evaluators that choose among candidates are there, and may.

        Raises:
            SettingsError: one is not there, or may not choose.
        """
        for name, strategy in self.strategies.items():
            if isinstance(strategy, ChoosingSettings):
                where = f"evaluate.strategies.{name}"
                check_judge(where, strategy, self.measured_by(evaluators))
