"""Candidates scored a second: ours, a plain loop over each library, torchmetrics, evaluate.

    python benchmarks/score.py POOL DATA [--candidates 16000] [--repeats 5]

POOL is a project's out/pool.parquet, DATA its out/data. Every way scores the same candidates of the
pool's sampling strategy, as they come, duplicates and all. The ways take turns, and each round
begins afresh: new evaluators and metrics, so that no cache is warm, but for the ways that say so.
Times are medians; memory is the peak beyond what it was before, of a process of its own (where two
more score, of the one that asks). Ratios are to the plain loop. A line says how far our scores are
from the plain loop's at most.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from goa.data.corpus import open_split
from goa.data.pool import read_pool
from goa.evaluators.bleu import BleuSettings
from goa.evaluators.chrf import ChrfSettings
from goa.evaluators.contract import checked_score
from goa.evaluators.rouge import RougeSettings
from goa.evaluators.scoring import ScoringService, ScoringSettings
from goa.evaluators.workers import Builder
from goa.records import Sample

VARIANTS = ("rouge1", "rouge2", "rougeL")
METRICS: dict[str, dict[str, Builder]] = {
    "BLEU": {"bleu": BleuSettings()},
    "ROUGE-1/2/L, stems": {
        name: RougeSettings(variant=name, stemming=True)  # type: ignore[arg-type]
        for name in VARIANTS
    },
    "chrF": {"chrf": ChrfSettings()},
}
Values = list[float]
Way = Callable[[Sequence[Sample]], Values]


def main() -> None:
    """Print the table; or, asked by itself, what one way takes in memory."""
    given = _arguments()
    samples = _samples(given.pool, given.data)[: given.candidates]
    with tempfile.TemporaryDirectory() as folder:
        if given.memory_of:
            metric, way = given.memory_of.split("|")
            print(_memory(_ways(metric, Path(folder))[way], samples))
            return
        print(f"{len(samples):,} candidates, {len(set(samples)):,} of them different\n")
        print("| scored by | way | candidates/s | ratio | peak memory, MiB |")
        print("| --- | --- | ---: | ---: | ---: |")
        for metric in given.metrics:
            _compare(metric, samples, Path(folder), given)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--candidates", type=int, default=16_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--metrics", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


def _samples(pool: Path, data: Path) -> list[Sample]:
    examples = {example.id: example for example in open_split(data, "train")}
    return [
        Sample(example=examples[written.example_id], candidate=written.text)
        for candidates in read_pool(pool)
        for written in candidates
        if written.strategy == "sample"
    ]


def _ways(metric: str, folder: Path) -> dict[str, Way | None]:
    """Name the ways; those whose package is not installed are None."""
    plain = {"BLEU": _plain_bleu, "chrF": _plain_chrf}.get(metric, _plain_rouge)
    ways: dict[str, Way | None] = {
        "plain loop": plain,
        "goa": lambda samples: _ours(metric, samples, None),
        "goa, words met before": _Kept(metric, ScoringSettings(), None),
        "goa, words met before, 2 processes": _Kept(metric, ScoringSettings(processes=2), None),
        "goa, store warm, opened afresh": lambda samples: _ours(metric, samples, folder),
        "goa, store warm, in memory": _Kept(metric, ScoringSettings(), folder),
    }
    ways["torchmetrics"] = _torchmetrics(metric)
    ways["evaluate"] = _evaluate(metric)
    return ways


def _compare(
    metric: str, samples: Sequence[Sample], folder: Path, given: argparse.Namespace
) -> None:
    ways = {name: way for name, way in _ways(metric, folder).items() if way is not None}
    for way in ways.values():
        if isinstance(way, _Kept):
            way(samples)
    few = samples[: max(1, len(samples) // 16)]  # enough for what is a hundred times slower
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    values: dict[str, Values] = {}
    for _ in range(given.repeats):
        for name, way in ways.items():
            chosen = few if name in ("torchmetrics", "evaluate") else samples
            start = time.perf_counter()
            values[name] = way(chosen)
            seconds[name].append((time.perf_counter() - start) / len(chosen))
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    for name, median in medians.items():
        ratio = medians["plain loop"] / median
        memory = _memory_of(metric, name)
        print(f"| {metric} | {name} | {1 / median:,.0f} | {ratio:.2f} | {memory} |", flush=True)
    away = max(abs(a - b) for a, b in zip(values["goa"], values["plain loop"], strict=True))
    print(f"| | largest difference of goa to the plain loop | {away:.1e} | | |", flush=True)


def _ours(metric: str, samples: Sequence[Sample], folder: Path | None) -> Values:
    values: Values = []
    for name, builder in METRICS[metric].items():
        service = ScoringService(name, builder, ScoringSettings(), folder)
        values += [value or 0.0 for value in checked_score(service, samples).values]
        service.close()
    return values


class _Kept:
    """Evaluators that stay, as they do in a run; asked once before time is taken."""

    def __init__(self, metric: str, settings: ScoringSettings, folder: Path | None) -> None:
        self._services = lambda: [
            ScoringService(name, builder, settings, folder)
            for name, builder in METRICS[metric].items()
        ]
        self._made: list[ScoringService] = []

    def __call__(self, samples: Sequence[Sample]) -> Values:
        """Score samples."""
        self._made = self._made or self._services()
        return [
            value or 0.0
            for service in self._made
            for value in checked_score(service, samples).values
        ]


def _plain_bleu(samples: Sequence[Sample]) -> Values:
    from sacrebleu.metrics import BLEU

    metric = BLEU(effective_order=True)
    return [
        metric.sentence_score(sample.candidate, list(sample.example.references)).score / 100
        for sample in samples
    ]


def _plain_chrf(samples: Sequence[Sample]) -> Values:
    from sacrebleu.metrics import CHRF

    metric = CHRF()
    return [
        metric.sentence_score(sample.candidate, list(sample.example.references)).score / 100
        for sample in samples
    ]


def _plain_rouge(samples: Sequence[Sample]) -> Values:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(VARIANTS), use_stemmer=True)
    found = [
        scorer.score_multi(list(sample.example.references), sample.candidate) for sample in samples
    ]
    return [scores[variant].fmeasure for variant in VARIANTS for scores in found]


def _torchmetrics(metric: str) -> Way | None:
    try:
        from torchmetrics.functional.text import chrf_score, rouge_score, sacre_bleu_score
    except ImportError:
        return None

    def one(sample: Sample) -> float:
        candidate, references = [sample.candidate], [list(sample.example.references)]
        if metric == "BLEU":
            return float(sacre_bleu_score(candidate, references, smooth=True))
        if metric == "chrF":
            return float(chrf_score(candidate, references, n_word_order=0))
        found = rouge_score(candidate, references, use_stemmer=True, rouge_keys=VARIANTS)
        return float(found["rougeL_fmeasure"])

    return lambda samples: [one(sample) for sample in samples]


def _evaluate(metric: str) -> Way | None:
    """Hugging Face evaluate loads its metrics from a hub; they are wrappers of the same libraries.

    Nothing to time where the hub is out of reach.
    """
    try:
        import evaluate

        loaded = evaluate.load({"BLEU": "sacrebleu", "chrF": "chrf"}.get(metric, "rouge"))
    except Exception:
        return None

    def one(sample: Sample) -> float:
        references = [list(sample.example.references)]
        return float(
            next(
                iter(loaded.compute(predictions=[sample.candidate], references=references).values())
            )
        )

    return lambda samples: [one(sample) for sample in samples]


def _memory(way: Way | None, samples: Sequence[Sample]) -> str:
    assert way is not None
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again from here (Linux)
    before = _peak()
    way(samples)
    return f"{_peak() - before:.0f}"


def _peak() -> float:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _memory_of(metric: str, way: str) -> str:
    command = [sys.executable, *sys.argv, "--memory-of", f"{metric}|{way}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
