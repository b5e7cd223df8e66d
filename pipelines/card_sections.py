"""What stands in the model card of a policy, section by section."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goa.arms import BASELINE, CONTROLLED
from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from pipelines.origin import Origin, portable, portable_text
from pipelines.usage import with_goa, with_transformers

POLICIES = Path("out/policies")
BASE = POLICIES / BASELINE


def summary(policy: Policy, origin: Origin) -> str:
    """Say in a sentence what it is."""
    size = sum(weight.numel() for weight in policy.model.parameters())
    form = "a decoder-only" if isinstance(policy, DecoderOnly) else "an encoder-decoder"
    kind = policy.model.config.model_type
    return (
        f"A text generator trained by goa: {form} model ({kind}, {size:,} weights), {_made(origin)}"
    )


def _made(origin: Origin) -> str:
    if origin.trained is None:
        start = portable(origin.setting("policy.name")) or "random weights"
        return f"trained by maximum likelihood on references, from {start}."
    arm, seed = origin.trained.arm, origin.trained.seed
    if arm.control is None:
        how = (
            f"fine-tuned from `{BASELINE}` on the score that `{arm.evaluator}` gives whole outputs"
        )
        return f"{how}, seed {seed}."
    return (
        f"a control beside `{arm.evaluator}-{seed}`: {CONTROLLED[arm.control]}. It shows what of "
        "that policy's gain is the reward's doing, and is not meant to be used."
    )


def intended_use(report: Mapping[str, Any]) -> str:
    """Say what it is for."""
    corpus = report.get("corpus", {})
    lowercase = (
        " Sources are to be lower-cased, as those it was trained on were."
        if corpus.get("lowercase")
        else ""
    )
    languages = corpus.get("languages")
    written = f" The texts were said to be in: {', '.join(languages)}." if languages else ""
    return (
        "To write one text for one source, of the kind that it was trained on, and to study what "
        f"training on the quality of whole outputs does.{written}{lowercase} It was not tried on "
        "anything else."
    )


def data(report: Mapping[str, Any], origin: Origin) -> str:
    """Say what it was trained on: counts by split, and digests."""
    corpus = report.get("corpus", {})
    rows = [
        f"| {name} | {split['kept']:,} | {split['source_words']['mean']} | "
        f"{split['reference_words']['mean']} |"
        for name, split in report.items()
        if isinstance(split, dict) and "kept" in split
    ]
    digests = [
        f"| `{name}` | `{digest}` |"
        for name, digest in origin.made_of.items()
        if name.startswith("out/")
    ]
    return "\n".join(
        [
            f"Corpus `{corpus.get('name', 'unknown')}`, read as {corpus.get('kind', 'unknown')}, "
            "cleaned and split.",
            "",
            "| split | examples | words a source, mean | words a reference, mean |",
            "| --- | ---: | ---: | ---: |",
            *rows,
            "",
            "What its training read, with digests of the content:",
            "",
            "| path in the project | digest |",
            "| --- | --- |",
            *digests,
        ]
    )


def training(origin: Origin) -> str:
    """Say how it was trained, on which parameters, and what was measured meanwhile."""
    settings = "\n".join(
        f"{name}: {json.dumps(portable(origin.setting(name)), ensure_ascii=False)}"
        for name in origin.made_of
        if "/" not in name and name != "command"
    )
    measured = "\n".join(f"| {name} | {value} |" for name, value in origin.measured.items())
    return (
        f"{_how(origin)}\n\nMeasured on the validation split, which the best weights were chosen "
        f"by:\n\n| measure | value |\n| --- | ---: |\n{measured}\n\n"
        f"Parameters that it followed from:\n\n```yaml\n{settings}\n```"
    )


def _how(origin: Origin) -> str:
    if origin.trained is None:
        return "Maximum likelihood on references: the best by validation loss was kept."
    arm, evaluator = origin.trained.arm, f"`{origin.trained.arm.evaluator}`"
    recipe = f"Its signature: `{portable_text(origin.signature)}`."
    if arm.control is not None:
        what = CONTROLLED[arm.control]
        return f"A control: {what}. The best by {evaluator}'s score was kept. {recipe}"
    return (
        f"The model wrote candidates, {evaluator} scored each whole candidate, and the objective "
        f"({', then '.join(objectives(origin))}) moved the model so that the expected score rose. "
        f"The best by {evaluator}'s score was kept. {recipe} Controls, "
        f"where params.yaml asks for them, are called `{arm.evaluator}-CONTROL-SEED`."
    )


def objectives(origin: Origin) -> list[str]:
    """Name the objectives of fine-tuning, one a phase."""
    kind = origin.setting("finetune.objective.kind")
    phases = origin.setting("finetune.phases") or [{}]
    return [str((phase.get("objective") or {}).get("kind", kind)) for phase in phases]


def loading(policy: Policy, origin: Origin) -> str:
    """Give lines that have it write."""
    program = with_transformers(policy, POLICIES / origin.name, BASE)
    return (
        "From the project's folder, with plain transformers:\n\n"
        f"```python\n{program}\n```\n\nWith goa, a line in and a line out:\n\n"
        f"```sh\n{with_goa(policy, origin.name)}\n```"
    )


def evaluation(origin: Origin) -> str:
    """Say where its evaluation is."""
    return (
        f"On the test split, by all metrics: `metrics/evaluate/{origin.name}.json`. Beside "
        "all other policies, with intervals, paired tests and the signature of each metric: "
        "`out/comparison/report.html` (`goa report --open`). A version that `goa promote` put into "
        "MLflow's registry has what was measured in its description."
    )


def limits(policy: Policy, origin: Origin) -> str:
    """Say what it cannot be trusted with."""
    room = policy.max_positions
    several = "source and text together" if isinstance(policy, DecoderOnly) else "each side"
    lines = [
        *([f"It has room for {room:,} tokens, {several}."] if room else []),
        "It may write what is wrong or not in the source, fluently.",
        "Its data were cleaned by length and for duplicates alone: what they are biased to, it is.",
        "What is measured above is of data that its weights were chosen by: go by the test split.",
    ]
    if origin.trained is not None and origin.trained.arm.control is None:
        lines.append(
            f"It was paid by `{origin.trained.arm.evaluator}`: a gain by that measure alone may be "
            "none; the comparison shows all the others."
        )
    return "\n".join(f"- {line}" for line in lines)
