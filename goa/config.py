"""params.yaml as a whole: every component's settings, and what must fit together."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from goa.data.settings import DataSettings
from goa.decoding.settings import GenerateSettings
from goa.evaluation.controls import ControlSettings
from goa.evaluation.settings import EvaluateSettings
from goa.evaluators.scoring import ScoringSettings
from goa.evaluators.table import EvaluatorName, EvaluatorSettings
from goa.policies.settings import ComputeSettings, PolicySettings
from goa.report.settings import CompareSettings, PromotionSettings
from goa.settings import Settings, read_yaml, validate
from goa.tracking.settings import TrackingSettings
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.settings import PretrainSettings


class RunSettings(Settings):
    """How stages are run; no result depends on it."""

    slots: int = Field(2, ge=1, le=64)
    """Stages that ``goa run`` runs side by side."""


class Params(Settings):
    """Everything params.yaml may say."""

    seed: int = Field(ge=0, lt=2**32)
    """Of every random choice but those of fine-tuning."""
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(min_length=1)
    """Of fine-tuning, which is done once with each."""
    run: RunSettings = RunSettings()
    compute: ComputeSettings = ComputeSettings()
    tracking: TrackingSettings = TrackingSettings()
    data: DataSettings
    policy: PolicySettings
    """What is trained: a model from scratch, or a pretrained one."""
    pretrain: PretrainSettings
    generate: GenerateSettings
    scoring: ScoringSettings = ScoringSettings()
    evaluators: dict[EvaluatorName, EvaluatorSettings] = Field(min_length=1)
    """What policies are trained on, by name: each has its score, finetune and evaluate stages."""
    controls: ControlSettings
    """Arms beside theirs, that show how much of a gain is the reward's doing."""
    finetune: FinetuneSettings
    evaluate: EvaluateSettings
    compare: CompareSettings
    promotion: PromotionSettings = PromotionSettings()

    @model_validator(mode="after")
    def _sections_fit_together(self) -> "Params":
        compute = self.compute
        self.finetune.resolved()[0].settings.check_pool(self.generate)
        self.evaluate.check_strategies(self.evaluators)
        self.finetune.check_team(compute.processes.finetune, fsdp=compute.fsdp)
        self.pretrain.check_team(compute.processes.pretrain)
        self._check_arms()
        self._check_promotion()
        return self

    def _check_arms(self) -> None:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: each may be named once")
        unknown = [name for name in self.controls.evaluators if name not in self.evaluators]
        if unknown:
            known = ", ".join(self.evaluators)
            raise ValueError(f"controls.evaluators: {unknown[0]!r} is none of {known}")
        for control in self.controls.arms:
            self.finetune.as_control(control)

    def _check_promotion(self) -> None:
        asked, measured = self.promotion, self.evaluate.measured_by(self.evaluators)
        names = [("metric", asked.metric), *(("guards", name) for name in asked.guards)]
        for key, name in names:
            if name is not None and name.partition(".")[0] not in measured:
                raise ValueError(f"promotion.{key}: {name!r} is none of {', '.join(measured)}")
        if asked.strategy is not None and asked.strategy not in self.evaluate.strategies:
            known = ", ".join(self.evaluate.strategies)
            raise ValueError(f"promotion.strategy: {asked.strategy!r} is none of {known}")


def check(path: Path) -> Params:
    """Check a whole settings file.

    Raises:
        SettingsError: all its problems at once, one a line.
    """
    return validate(Params, read_yaml(path), str(path))
