"""How policies are compared."""

from pydantic import Field

from goa.evaluation.significance import TestName
from goa.settings import Settings


class CompareSettings(Settings):
    """How policies are compared with maximum likelihood, and what the report shows."""

    test: TestName = "bootstrap"
    """Over test examples: bootstrap is the paired bootstrap, randomisation exchanges outputs."""
    resamples: int = Field(1000, ge=1, le=1_000_000)
    """Bootstrap resamples behind each interval, and resamples or trials behind each p-value."""
    confidence: float = Field(0.95, gt=0.0, lt=1.0)
    """Share of the resampled scores that an interval holds."""
    significance: float = Field(0.05, gt=0.0, lt=1.0)
    """A change counts as real where its adjusted p-value is below this."""
    primary_metric: str | None = None
    """What the verdict rests on; the first metric measured where none is named."""
    num_examples: int = Field(12, ge=0, le=1000)
    """Test examples shown with every policy's output."""


class PromotionSettings(Settings):
    """When a policy becomes the champion of the model registry; no stage's result depends on it."""

    model: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-][A-Za-z0-9_. -]*$", max_length=200)
    """Name in the registry; the experiment's where none is named."""
    metric: str | None = None
    """What a policy has to be better by; that of the comparison's verdict where none is named."""
    strategy: str | None = None
    """How test outputs are written; the first of evaluate.strategies where none is named."""
    significance: float = Field(0.05, gt=0.0, lt=1.0)
    """It is better where the p-value is below this, and a guard is worse where its is."""
    guards: list[str] = Field(default_factory=list)
    """Metrics that must not become significantly worse."""
    resamples: int = Field(1000, ge=1, le=1_000_000)
    """Bootstrap resamples behind each p-value."""
