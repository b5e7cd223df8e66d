"""What an evaluation decodes with, and measures by."""

from pydantic import Field, model_validator

from goa.arms import BASELINE
from goa.data.noise import NoiseSettings
from goa.decoding.settings import ChoosingSettings, DecodingSettings
from goa.evaluation.judges import check_judge
from goa.evaluation.storage import NOISED
from goa.evaluators.table import EvaluatorName, EvaluatorSettings, MetricSettings
from goa.settings import Name, Settings


class EvaluateSettings(Settings):
    """How every policy is decoded on the test split and what its outputs are measured by."""

    strategies: dict[Name, DecodingSettings] = Field(min_length=1)
    """Ways of decoding; the first is the one that verdicts rest on."""
    baseline_strategies: dict[Name, DecodingSettings] = Field(default_factory=dict)
    """Ways of decoding that only the policy before fine-tuning gets besides: the bar that decoding
    alone sets for training. They may take as long as they like."""
    noise: NoiseSettings | None = None
    """Decode noised sources besides: each strategy once more, under its name with _noised behind,
    measured against the same references. None named means clean sources alone."""
    metrics: dict[EvaluatorName, MetricSettings] = Field(min_length=1)
    """Measured beside the evaluators; the first is the primary metric unless compare names one."""
    resamples: int = Field(1000, ge=1, le=1_000_000)
    """Bootstrap resamples behind each interval."""
    confidence: float = Field(0.95, gt=0.0, lt=1.0)
    """Share of the resampled scores that an interval holds."""
    sources_per_batch: int = Field(64, ge=1, le=1_000_000)
    """Sources decoded at a time."""

    @model_validator(mode="after")
    def _noised_names_are_free(self) -> "EvaluateSettings":
        names = self.strategies_of(BASELINE)
        taken = {name for name in names if f"{name}{NOISED}" in names}
        if self.noise is not None and taken:
            raise ValueError(
                f"{min(taken)}{NOISED} names what {min(taken)} writes for noised sources; "
                "give that strategy another name"
            )
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> "EvaluateSettings":
        twice = self.strategies.keys() & self.baseline_strategies.keys()
        if twice:
            raise ValueError(
                f"baseline_strategies.{min(twice)}: a strategy of every policy has this name; "
                "give it another"
            )
        return self

    def strategies_of(self, policy: str) -> dict[Name, DecodingSettings]:
        """Give the ways that a policy is decoded by, those of every policy first."""
        return {**self.strategies, **(self.baseline_strategies if policy == BASELINE else {})}

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
        known = self.measured_by(evaluators)
        for key in ("strategies", "baseline_strategies"):
            for name, strategy in getattr(self, key).items():
                if isinstance(strategy, ChoosingSettings):
                    check_judge(f"evaluate.{key}.{name}", strategy, known)
