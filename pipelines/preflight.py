"""``goa preflight``: what there is to know of policy and evaluators before anything is trained."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import groupby, islice
from pathlib import Path

from goa.data.corpus import open_split, split_path
from goa.data.pool import read_pool
from goa.decoding.settings import GenerateSettings
from goa.errors import DataError, PipelineError
from goa.evaluation.gameability import Written
from goa.evaluation.probes import most_frequent, probes
from goa.evaluation.ranks import ReferenceRanks, rank_references
from goa.evaluation.readiness import Preflight
from goa.evaluators.scoring import ScoringSettings
from goa.evaluators.table import EvaluatorName, EvaluatorSettings
from goa.policies.compute import set_up, use_device
from goa.policies.settings import ComputeSettings
from goa.policies.storage import load_policy
from goa.records import Example, Sample
from goa.settings import read_sections
from pipelines.choice import choose_evaluators
from pipelines.score import POOL, pair_with_examples
from pipelines.stage import PARAMS, silence_foreign_bars
from pipelines.trial import REFERENCE, Ground, try_evaluator

DATA = Path("out/data")
POLICY = Path("out/policies/mle")
MADE_BY = {split_path(DATA, "train"): "prepare", POLICY: "pretrain", POOL: "generate"}
"""What has to be there, and the stage that makes it."""
RANKED_SOURCES = 64
"""References whose tokens are ranked: a thousand tokens or so tell a share within 3 points."""

_Source = tuple[Written, list[Sample]]
"""What was sampled for a source, and its greedy candidates."""


def preflight(
    names: Sequence[str],
    num_sources: int,
    price_per_hour: float | None,
    tell: Callable[[str], None],
) -> Preflight:
    """Try evaluators on what the pretrained policy wrote.

    Args:
        names: of evaluators in params.yaml; none named means all.
        num_sources: how many of the pool's first sources are looked at, at most.
        price_per_hour: of the machine, in any currency.
        tell: is told what is being done.

    Raises:
        SettingsError: params.yaml cannot be used, or has no such evaluator.
        PipelineError: a stage has not run yet.
        GoaError: what a stage made cannot be used.
    """
    params = read_sections(
        PARAMS,
        seed=int,
        compute=ComputeSettings,
        generate=GenerateSettings,
        scoring=ScoringSettings,
        evaluators=dict[EvaluatorName, EvaluatorSettings],
    )
    chosen = choose_evaluators(params.evaluators, names)
    _check_stages()
    sources = _read_sources(params.generate, num_sources)
    examples = [written.example for written, _ in sources]
    frequent = most_frequent(open_split(DATA, "train"))
    ground = Ground(
        sampled=tuple(written for written, _ in sources),
        greedy=tuple(sample for _, samples in sources for sample in samples),
        texts={
            REFERENCE: tuple(example.references[0] for example in examples),
            **probes(examples, frequent, params.seed),
        },
        scoring=params.scoring.model_copy(update={"processes": 0, "timeout": None}),
        seed=params.seed,
        price_per_hour=price_per_hour,
    )
    tell("ranking the references' tokens under the pretrained policy")
    ranks = _rank(params.compute, examples[:RANKED_SOURCES], params.seed)
    found = {}
    for name, settings in chosen.items():
        tell(f"{name}: scoring what was written for {len(examples)} sources")
        found[name] = try_evaluator(name, settings, ground)
    return Preflight(sources=len(examples), ranks=ranks, evaluators=found)


def as_text(found: Preflight) -> str:
    """Write everything as JSON, the verdict on all first."""
    content = {"go": found.go, **asdict(found)}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


def _check_stages() -> None:
    missing = [stage for path, stage in MADE_BY.items() if not path.exists()]
    if missing:
        raise PipelineError(
            f"not run yet: {', '.join(missing)}; `goa run generate` runs what preflight needs"
        )


def _read_sources(generate: GenerateSettings, num_sources: int) -> list[_Source]:
    """Read the pool's first sources, each with what was sampled and what greedily written.

    Raises:
        DataError: no source has two sampled candidates: nothing could be compared.
    """
    sources = list(_pick(generate, num_sources))
    if max((len(written.candidates) for written, _ in sources), default=0) < 2:
        raise DataError(
            f"{POOL}: no source has two sampled candidates, so there is nothing to compare; give "
            "generate.strategies one of kind sample with num_candidates of 2 at least, and run "
            "`goa run generate`"
        )
    return sources


def _pick(generate: GenerateSettings, num_sources: int) -> Iterator[_Source]:
    sampling, greedy = generate.names("sample"), generate.names("greedy")
    corpus = open_split(DATA, "train")
    pairs = pair_with_examples(islice(read_pool(POOL), num_sources), corpus)
    for _, group in groupby(pairs, key=lambda pair: pair[0].id):
        rows = list(group)
        example = rows[0][0]
        sampled = tuple(written.text for _, written in rows if written.strategy in sampling)
        yield (
            Written(example=example, candidates=sampled),
            [
                Sample(example=example, candidate=written.text)
                for _, written in rows
                if written.strategy in greedy
            ],
        )


def _rank(compute: ComputeSettings, examples: Sequence[Example], seed: int) -> ReferenceRanks:
    """Rank references under the pretrained policy; it is let go before evaluators are loaded.

    With the CPU threads of fine-tuning, which is where evaluators are asked for most rewards.
    """
    silence_foreign_bars()
    policy = load_policy(POLICY, use_device(compute, compute.threads.finetune))
    set_up(policy, compute, dropout=False)
    return rank_references(policy, examples, seed)
