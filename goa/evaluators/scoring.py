"""Scoring in earnest: an evaluator with a store before it and processes behind it."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from goa.errors import EvaluatorError
from goa.evaluators.contract import Evaluator, FloatArray, checked_score
from goa.evaluators.learning import LearningEvaluator
from goa.evaluators.store import RewardStore, Stored
from goa.evaluators.workers import Builder, Call, Workers
from goa.records import Sample, Scores
from goa.settings import Settings

SAMPLES_PER_CALL = 128
"""What a process is given at a time."""


class ScoringSettings(Settings):
    """How evaluators are asked for rewards."""

    processes: int = Field(0, ge=0, le=64)
    """Processes beside a stage that score for it; 0: the stage does it itself. No result depends on
    it."""
    timeout: float | None = Field(None, gt=0)
    """Seconds that a process may take for 128 samples; needs a process beside the stage."""
    unscored: Literal["raise", "drop"] = "raise"
    """What becomes of a sample that the evaluator fails on, or does not apply to. raise: the stage
    ends with an error; drop: its source is left out of the update, and counted."""
    store: bool = True
    """Keep scores in .goa/rewards, so that no later run pays for them again. No result depends on
    it."""

    @model_validator(mode="after")
    def _a_process_can_be_stopped(self) -> Self:
        if self.timeout is not None and not self.processes:
            raise ValueError("timeout stops a process beside the stage: set processes to 1 or more")
        return self


class ScoringService(Evaluator):
    """An evaluator that remembers, works in several processes, and may let samples go.

    To its callers it is the evaluator: the same name, signature and scores.
    """

    def __init__(
        self, name: str, builder: Builder, settings: ScoringSettings, folder: Path | None
    ) -> None:
        """Set the service up.

        Args:
            name: the evaluator's.
            builder: its settings.
            settings: how it is asked.
            folder: where scores are kept; None: nowhere.

        Raises:
            EvaluatorError: the evaluator cannot be built, or the store cannot be used.
        """
        self._evaluator = evaluator = builder.build(name)
        self.name = evaluator.name
        self.higher_is_better = evaluator.higher_is_better
        self.reads_batch, self.draws = evaluator.reads_batch, evaluator.draws
        self._drops = settings.unscored == "drop"
        self._alone = not (self.reads_batch or self.draws)
        keeps = folder is not None and self._alone and not evaluator.learners()
        self._store = RewardStore(folder, self.signature) if folder and keeps else None
        self._workers = None
        # What learns does so in this process, and the others would not know.
        if settings.processes and not evaluator.learners():
            self._workers = Workers(name, builder, settings.processes, settings.timeout)

    @property
    def signature(self) -> str:  # type: ignore[override]
        """The evaluator's own."""
        return self._evaluator.signature

    def learners(self) -> Sequence[LearningEvaluator]:
        """Give what learns in the evaluator."""
        return self._evaluator.learners()

    def begin(self, samples: Sequence[Sample]) -> Callable[[], Scores]:
        """Begin to score N samples in the processes; the function that is given waits for it."""
        if self._store is None:
            return self._ask(samples)
        known = self._store.find(samples)
        new = [sample for sample, stored in zip(samples, known, strict=True) if stored is None]
        finish = self._ask(new)
        return lambda: self._join(known, new, finish())

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score N samples."""
        return self.begin(samples)()

    @property
    def averages(self) -> bool:
        """Say whether the corpus score is the mean of the samples' scores."""
        return self._evaluator.averages

    def statistics(self, samples: Sequence[Sample]) -> FloatArray:
        """Give the evaluator's own statistics, [N, D]."""
        return super().statistics(samples) if self.averages else self._evaluator.statistics(samples)

    def corpus(self, sums: FloatArray) -> FloatArray:
        """Turn summed statistics into the evaluator's own score."""
        return self._evaluator.corpus(sums)

    def close(self) -> None:
        """Stop the processes and close the store."""
        if self._workers is not None:
            self._workers.stop()
        if self._store is not None:
            self._store.close()

    def _ask(self, samples: Sequence[Sample]) -> Callable[[], Scores]:
        if not samples:
            return lambda: Scores(values=())
        if self._workers is None:
            return lambda: self._score_here(samples)
        size = SAMPLES_PER_CALL if self._alone else len(samples)
        calls = [
            self._workers.submit(samples[start : start + size])
            for start in range(0, len(samples), size)
        ]
        return lambda: _concatenate([self._wait(call) for call in calls])

    def _wait(self, call: Call) -> Scores:
        assert self._workers is not None
        try:
            return self._workers.wait(call)
        except EvaluatorError:
            if not self._drops:
                raise
            return self._without_failures(call.samples)

    def _score_here(self, samples: Sequence[Sample]) -> Scores:
        try:
            return checked_score(self._evaluator, samples)
        except EvaluatorError:
            if not self._drops:
                raise
            return self._without_failures(samples)

    def _without_failures(self, samples: Sequence[Sample]) -> Scores:
        """Score what can be scored, halving a batch that fails; None for the rest."""
        if len(samples) == 1 or not self._alone:
            return Scores(values=(None,) * len(samples))
        half = len(samples) // 2
        return _concatenate([self._retry(samples[:half]), self._retry(samples[half:])])

    def _retry(self, samples: Sequence[Sample]) -> Scores:
        if self._workers is None:
            return self._score_here(samples)
        return self._wait(self._workers.submit(samples))

    def _join(
        self, known: Sequence[Stored | None], new: Sequence[Sample], scores: Scores
    ) -> Scores:
        """Put new scores between those that were kept, and keep them too."""
        assert self._store is not None
        names = self._part_names(scores)
        columns = [scores.parts.get(name, (None,) * len(new)) for name in names]
        rows = zip(*columns, strict=True) if columns else itertools.repeat(())
        fresh = [Stored(value, next(rows)) for value in scores.values]
        self._store.add(
            names,
            [pair for pair in zip(new, fresh, strict=True) if pair[1].value is not None],
        )
        coming = iter(fresh)
        whole = [next(coming) if stored is None else stored for stored in known]
        return Scores(
            values=tuple(stored.value for stored in whole),
            parts={
                name: tuple(stored.parts[at] for stored in whole) for at, name in enumerate(names)
            },
        )

    def _part_names(self, scores: Scores) -> tuple[str, ...]:
        """Name the parts, which are the same for all samples.

        Raises:
            EvaluatorError: they were others before.
        """
        assert self._store is not None
        known, found = self._store.part_names, tuple(scores.parts)
        if known is None or not found:
            return known or found
        if found != known:
            raise EvaluatorError(
                f"evaluator {self.name}: gave the parts {', '.join(found)}, and before them "
                f"{', '.join(known) or 'none'}: an evaluator has the same parts for all samples. "
                f"If it was changed, delete {self._store.path}"
            )
        return found


def _concatenate(scores: Sequence[Scores]) -> Scores:
    """Put the scores of several calls together; those that lack a part have None for it."""
    names = dict.fromkeys(name for found in scores for name in found.parts)
    return Scores(
        values=tuple(value for found in scores for value in found.values),
        parts={
            name: tuple(
                value
                for found in scores
                for value in found.parts.get(name, (None,) * len(found.values))
            )
            for name in names
        },
    )
