"""What a round costs as candidates become more, and what a pool costs as sources do.

    python benchmarks/growth.py POLICY DATA [REFERENCES] [--largest 64] [--most 100]

POLICY is a policy's folder; DATA a project's out/data, or a file of sources and one of REFERENCES.

- A round of fine-tuning on 16 sources (draws, BLEU, one step of REINFORCE without a baseline, which
  a single candidate has none of) with 1, 2, 4 ... candidates of each.
- Draws and BLEU of 4 candidates for 16 sources, 10 times as many, and 100 times, by batches of 32
  sources, as `goa generate` writes them; the draws of one batch are let go before the next is
  written. Where DATA has fewer sources, they come again, with other draws.

Each point has two processes of its own, since memory that is given back at once takes time: in one,
memory is the peak of a first time beyond what was in use once the policy was there; in the other,
seconds are the median of what comes after a first time. Nothing is asked to grow less
than in proportion: what is looked for is a candidate that costs more than the first one did.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.harness import (
    Run,
    Side,
    arguments,
    median,
    read_examples,
    table,
    take_turns,
    write_json,
)
from benchmarks.memory import in_own_process, peak_mib
from goa.decoding.settings import SampleSettings
from goa.evaluators.bleu import BleuSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from goa.policies.policy import Policy
from goa.policies.storage import load_policy
from goa.records import Example
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import OptimiserSettings
from goa.trainer.update import Aim, UpdatePlan, Updater
from pipelines.generate import SOURCES_PER_BATCH
from pipelines.stage import silence_foreign_bars

SOURCES, CANDIDATES = 16, 4
Work = Callable[[int], Run]


def main() -> None:
    """Print both tables; or, asked by itself, what one point costs."""
    given = _arguments()
    silence_foreign_bars()
    if given.point:
        print(json.dumps(_measure(given)))
        return
    widths = list(itertools.takewhile(given.largest.__ge__, (2**power for power in range(31))))
    times = [times for times in (1, 10, 100, 1000) if times <= given.most]
    found = {
        "round": {width: _point("round", SOURCES, width) for width in widths},
        "pool": {more: _point("pool", more * SOURCES, CANDIDATES) for more in times},
    }
    _show("candidates of each source", found["round"])
    print()
    _show(f"times {SOURCES} sources", found["pool"])
    write_json(given.json, given, found)


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("policy", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--largest", type=int, default=64, help="candidates")
    parser.add_argument("--most", type=int, default=100, help="times the sources")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--point", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def _point(what: str, num_sources: int, num_candidates: int) -> Run:
    """Measure one point in processes of its own."""
    point = (what, str(num_sources), str(num_candidates))
    run: Run = json.loads(in_own_process("--point", "seconds", *point, gives_back=False))
    return {**run, **json.loads(in_own_process("--point", "mib", *point))}


def _show(header: str, points: dict[int, Run]) -> None:
    each = {size: run["seconds"] / run["candidates"] for size, run in points.items()}
    first = next(iter(each.values()))
    rows = [
        [
            str(size),
            f"{run['candidates']:.0f}",
            f"{run['tokens']:.0f}",
            f"{run['seconds']:.2f}",
            f"{run['mib']:.0f}",
            f"{1000 * each[size]:.2f}",
            f"{each[size] / first:.2f}",
        ]
        for size, run in points.items()
    ]
    rest = ["candidates", "tokens", "seconds", "memory, MiB", "ms/candidate", "over the first"]
    print(table([header, *rest], rows), flush=True)


def _measure(given: argparse.Namespace) -> Run:
    """Do what a point says: once for its memory, or again and again for its time."""
    wanted, what = given.point[:2]
    num_sources, num_candidates = map(int, given.point[2:])
    torch.set_num_threads(given.threads)
    policy = load_policy(given.policy, torch.device("cpu"))
    examples = _repeated(read_examples(given.data, num_sources), num_sources)
    strategy = SampleSettings(
        kind="sample", num_candidates=num_candidates, max_tokens=given.max_tokens
    )
    make = {"round": _round, "pool": _pool}[what]
    if wanted == "mib":
        return {"mib": peak_mib(lambda: make(policy, examples, strategy)(0))}
    side = Side(work=make(policy, examples, strategy))
    (runs,) = take_turns({what: side}, given.repeats).values()
    return {
        "seconds": median(runs, "seconds"),
        "tokens": median(runs, "tokens"),
        "candidates": num_sources * num_candidates,
    }


def _repeated(examples: Sequence[Example], number: int) -> list[Example]:
    """Take so many examples, the first ones again where there are fewer; their ids differ."""
    rounds = itertools.islice(itertools.cycle(examples), number)
    return [replace(example, id=f"{place}") for place, example in enumerate(rounds)]


def _round(policy: Policy, examples: Sequence[Example], strategy: SampleSettings) -> Work:
    writer = CandidateWriter(policy, BleuSettings().build("bleu"), strategy, RolloutNeeds())
    objective = Reinforce(ReinforceSettings(kind="reinforce", baseline="none"))
    updater = Updater(policy, [Aim(objective=objective)], UpdatePlan(seed=1))
    # So small a step that later rounds write as the first did.
    optimiser = Optimiser(policy.trained(), OptimiserSettings(learning_rate=1e-8), 1)

    def work(seed: int) -> Run:
        rollout = writer.write(examples, seed)
        updater.update(rollout, optimiser, 0)
        return {"tokens": float(rollout.mask.sum())}

    return work


def _pool(policy: Policy, examples: Sequence[Example], strategy: SampleSettings) -> Work:
    writer = CandidateWriter(policy, BleuSettings().build("bleu"), strategy, RolloutNeeds())

    def work(seed: int) -> Run:
        starts = range(0, len(examples), SOURCES_PER_BATCH)
        batches = (examples[start : start + SOURCES_PER_BATCH] for start in starts)
        return {"tokens": sum(float(writer.write(batch, seed).mask.sum()) for batch in batches)}

    return work


if __name__ == "__main__":
    main()
