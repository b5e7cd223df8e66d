"""Resamples of a test set scored by every metric: ours, and sacrebleu's own.

    python benchmarks/significance.py DATA... [--sentences 1000] [--resamples 1000] [--repeats 5]

DATA is a prepared folder, or a file of sources and one of as many references. Outputs are the
references with some words spoilt, once as a baseline and once, a little less, as a policy. What is
timed begins from the statistics of each sentence, and ends with the scores of all resamples of one
set of outputs: sacrebleu's BLEU, chrF and TER as its bootstrap does them, ours of those three, and
ours of all metrics that a comparison has. Beside them both paired tests, of two sets of outputs, by
all metrics at once. Ours should take less than 2 seconds for all metrics.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sacrebleu.metrics.base import Metric as SacrebleuMetric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import _bootstrap_resample

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.harness import (
    Runs,
    Side,
    arguments,
    median,
    read_examples,
    table,
    take_turns,
    write_json,
)
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import Evaluation, evaluate
from goa.evaluation.significance import Significance, TestName
from goa.evaluators.bleu import BleuSettings
from goa.evaluators.chrf import ChrfSettings
from goa.evaluators.contract import Metric, pair_samples
from goa.evaluators.distinct import DistinctSettings
from goa.evaluators.length_ratio import LengthRatioSettings
from goa.evaluators.rouge import RougeSettings
from goa.evaluators.rule import RuleSettings
from goa.evaluators.ter import TerSettings
from goa.records import Example

LIMIT = 2.0
"""Seconds that all metrics may take."""
THEIRS: Mapping[str, SacrebleuMetric] = {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}
METRICS: Mapping[str, Metric] = {
    "bleu": BleuSettings().build("bleu"),
    "chrf": ChrfSettings().build("chrf"),
    "ter": TerSettings().build("ter"),
    "rouge1": RougeSettings(variant="rouge1").build("rouge1"),
    "rouge2": RougeSettings(variant="rouge2").build("rouge2"),
    "rougeL": RougeSettings(variant="rougeL").build("rougeL"),
    "rule": RuleSettings().build("rule"),
    "length_ratio": LengthRatioSettings().build("length_ratio"),
    "distinct_2": DistinctSettings(n=2).build("distinct_2"),
}
SPOILT = {"baseline": 0.30, "policy": 0.28}
"""Share of words that are spoilt."""


def main() -> None:
    """Print the table."""
    given = _arguments()
    examples = read_examples(given.data, given.sentences)
    runs = take_turns(_Work(examples=examples, resamples=given.resamples).sides(), given.repeats)
    print(f"{len(examples):,} sentences, {given.resamples:,} resamples\n")
    print(_table(runs))
    seconds = median(runs["goa, all metrics"], "seconds")
    print(f"\nall metrics: {seconds:.2f} s, {'within' if seconds < LIMIT else 'OVER'} {LIMIT:g} s")
    write_json(given.json, given, runs)


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    return parser.parse_args()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """What there is to resample."""

    examples: Sequence[Example]
    resamples: int

    def sides(self) -> dict[str, Side]:
        """Name the ways; statistics are there before the clock starts."""
        texts = {name: self._spoilt(share) for name, share in SPOILT.items()}
        measured = {name: self._measured(found) for name, found in texts.items()}
        references = [[example.references[0] for example in self.examples]]
        statistics = {
            name: metric._extract_corpus_statistics(texts["policy"], references)
            for name, metric in THEIRS.items()
        }

        def theirs(_: int) -> dict[str, float]:
            for name, metric in THEIRS.items():
                _bootstrap_resample(statistics[name], metric, self.resamples)
            return {}

        return {
            "sacrebleu, BLEU, chrF and TER": Side(work=theirs),
            "goa, BLEU, chrF and TER": Side(work=self._ours(measured["policy"], list(THEIRS))),
            "goa, all metrics": Side(work=self._ours(measured["policy"], list(METRICS))),
            "goa, all metrics, paired bootstrap": Side(work=self._tested(measured, "bootstrap")),
            "goa, all metrics, approximate randomisation": Side(
                work=self._tested(measured, "randomisation")
            ),
        }

    def _ours(self, found: Evaluation, names: Sequence[str]) -> Callable[[int], dict[str, float]]:
        metrics = [METRICS[name] for name in names]
        statistics = [found.statistics[name] for name in names]

        def work(seed: int) -> dict[str, float]:
            Bootstrap(seed=seed, resamples=self.resamples).scores(metrics, statistics)
            return {}

        return work

    def _tested(
        self, measured: Mapping[str, Evaluation], test: TestName
    ) -> Callable[[int], dict[str, float]]:
        def work(seed: int) -> dict[str, float]:
            tests = Significance(
                metrics=list(METRICS.values()),
                bootstrap=Bootstrap(seed=seed, resamples=self.resamples),
                test=test,
            )
            policy, baseline = (tests.resample(measured[name]) for name in ("policy", "baseline"))
            tests.contrast([(policy, baseline)])
            return {}

        return work

    def _spoilt(self, share: float) -> list[str]:
        rng = np.random.default_rng(round(100 * share))
        return [
            " ".join(
                "oops" if rng.random() < share else word for word in each.references[0].split()
            )
            for each in self.examples
        ]

    def _measured(self, texts: Sequence[str]) -> Evaluation:
        bootstrap = Bootstrap(seed=0, resamples=1)
        return evaluate(pair_samples(self.examples, texts), list(METRICS.values()), bootstrap)


def _table(runs: Runs) -> str:
    rows = [[name, f"{median(found, 'seconds'):.3f}"] for name, found in runs.items()]
    return table(["resampled by", "seconds"], rows)


if __name__ == "__main__":
    main()
