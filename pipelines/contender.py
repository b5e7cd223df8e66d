"""A policy that a run left, as it goes to the registry: found, recorded in MLflow, identified."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from goa.arms import BASELINE
from goa.errors import PipelineError
from goa.report.comparison import Comparison, load_comparison
from goa.tracking.registry import Published, Registry
from pipelines.arms import choose_policy
from pipelines.fingerprint import digest
from pipelines.graph import lock_entries
from pipelines.policy_card import CARD
from pipelines.publish import publish
from pipelines.results import COMPARISON, DATA, POLICIES, Result

if TYPE_CHECKING:
    from goa.config import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A policy of this project, as dvc.lock has it."""

    name: str
    """As stages and files are called: "mle", or "bleu-17"."""
    num_tried: int
    """Fine-tuned policies that were compared by the same test set; 1 for "mle"."""
    digest: str
    """Of its folder but for the card; equal policies have equal ones, whichever stage made them."""
    stage_key: str
    """Of the stage that made it."""
    data_digest: str
    """Of the prepared data, as that stage read them."""
    report: str
    """Key of the comparison's result; empty if there is none."""

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return Path(POLICIES, self.name)


def find_contender(name: str | None, params: "Params", strategy: str, metric: str) -> Contender:
    """Find a policy by name, or the best fine-tuned one of the comparison.

    Raises:
        PipelineError: there is none, it is an adapter without its model, or what is on disk is not
            what dvc.lock says.
        SettingsError: dvc.lock cannot be read.
    """
    trained = _trained(params)
    if name is not None:
        name = choose_policy(name, [BASELINE, *trained])
    entries = lock_entries(Path())
    results = [Result(root=Path(), stage=stage, entry=entry) for stage, entry in entries.items()]
    compared = _maker(Path(COMPARISON), results)
    if compared is not None and (compared.difference() or not _is_of(params, strategy, metric)):
        compared = None
    if name is None:
        if compared is None:
            raise PipelineError(
                f"{COMPARISON} does not compare the policies of params.yaml by {strategy} {metric} "
                "as it is; run `goa run`, or name one with --policy"
            )
        name = _best(
            load_comparison(Path(COMPARISON, "comparison.json")), strategy, metric, trained
        )
    made = _maker(Path(POLICIES, name), results)
    if made is None:
        raise PipelineError(f"{POLICIES}{name}: never made; run `goa run`")
    if difference := made.difference():
        raise PipelineError(f"{name}: {difference}")
    if Path(POLICIES, name, "adapter_config.json").exists():
        raise PipelineError(
            f"{POLICIES}{name}: an adapter alone is no model to serve; set finetune.adapter.save "
            "to merged"
        )
    return Contender(
        name=name,
        num_tried=len(trained) if compared and name != BASELINE else 1,
        digest=_policy_digest(Path(POLICIES, name)),
        stage_key=made.key,
        data_digest=_data_digest(made),
        report=compared.key if compared else "",
    )


def recorded(contender: Contender, registry: Registry) -> Published:
    """Find what MLflow has of a contender; publish the project first where it has nothing.

    Raises:
        PipelineError: it could not be recorded.
        TrackingError: the store cannot be used.
    """
    found = registry.published(contender.stage_key)
    if found is None:
        summary = publish(Path())
        found = registry.published(contender.stage_key)
        if found is None:
            reasons = "; ".join(f"{stage}: {why}" for stage, why in summary.skipped.items())
            raise PipelineError(
                f"{contender.name}: not recorded in {summary.uri}: {reasons or 'it is not there'}"
            )
    return found


def _is_of(params: "Params", strategy: str, metric: str) -> bool:
    comparison = load_comparison(Path(COMPARISON, "comparison.json"))
    return (
        set(comparison.policies) >= {BASELINE, *_trained(params)}
        and strategy in comparison.strategies
        and metric in {measure.name for measure in comparison.measures}
    )


def _trained(params: "Params") -> list[str]:
    """Name the policies that may be promoted: controls are none."""
    trained = params.controls.trained(params.evaluators, params.seeds)
    return [policy.name for policy in trained if policy.arm.control is None]


def _best(comparison: Comparison, strategy: str, metric: str, names: Sequence[str]) -> str:
    scores = {
        policy: -1.0 if score is None else score
        for arm in comparison.arms
        for policy, score in zip(
            arm.policies, comparison.cell(strategy, metric, arm.name).scores, strict=True
        )
        if policy in names
    }
    return max(scores, key=lambda policy: scores[policy])


def _maker(output: Path, results: list[Result]) -> Result | None:
    return next((each for each in results if output in each.outputs(str(output))), None)


def _policy_digest(folder: Path) -> str:
    files = [path for path in sorted(folder.iterdir()) if path.name != CARD]
    content = "\n".join(f"{path.name} {digest(path)}" for path in files)
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def _data_digest(result: Result) -> str:
    items = result.entry.get("deps", [])
    return next((str(item.get("md5", "")) for item in items if item["path"] == DATA), "")
