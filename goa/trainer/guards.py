"""Guards: metrics that nothing is rewarded by, and that training must not make worse."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from goa.data.corpus import Corpus
from goa.errors import SettingsError
from goa.evaluation.alarms import Divergent, GuardAlarm
from goa.evaluation.bootstrap import Bootstrap, paired_p_value
from goa.evaluators.contract import Evaluator, FloatArray, checked_score, pair_samples
from goa.evaluators.table import build_evaluator
from goa.records import Example
from goa.trainer.contract import Guarded, TrainingState
from goa.trainer.finetuning import FinetuneSettings

NUM_EXAMPLES = 5
"""Outputs that an alarm shows."""
REWARD = "validation_reward"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    score: float
    draws: FloatArray
    """[R] the score of each resample."""


class Guards:
    """Guards of one run of training, on the same outputs that it is validated by.

    Each process of a team measures all outputs, so that all come to the same verdict.
    """

    def __init__(
        self,
        metrics: Sequence[Evaluator],
        examples: Sequence[Example],
        bootstrap: Bootstrap,
        significance: float,
    ) -> None:
        """Set guards up.

        Args:
            metrics: the guards.
            examples: what outputs are of, in the order of validation.
            bootstrap: resamples of the examples.
            significance: a fall counts where its p-value is below this.
        """
        self.metrics = metrics
        self.examples = examples
        self.bootstrap = bootstrap
        self.significance = significance
        self._start: dict[str, _Measured] = {}

    def look(self, outputs: Sequence[str], first: Sequence[str]) -> Guarded:
        """Measure outputs, and hold them against those of the first look of the run.

        By the paired bootstrap, in the direction that is seen. p-values are not corrected for the
        number of guards: that is the strict side.

        Raises:
            EvaluatorError: a guard cannot measure an output.
        """
        if not self._start:
            self._start = self._measure(first)
        now = self._measure(outputs)
        worse = {}
        for name, found in now.items():
            before = self._start[name]
            delta = found.score - before.score
            p_value = paired_p_value(found.draws, before.draws, delta)
            if delta < 0 and p_value < self.significance:
                worse[name] = f"{before.score:.4f} to {found.score:.4f}, p = {p_value:.3f}"
        values = {
            column(name): found.score for name, found in now.items() if np.isfinite(found.score)
        }
        return Guarded(values=values, worse=worse)

    def alarms(self, policy: str, state: TrainingState) -> list[GuardAlarm]:
        """Give an alarm for each guard that stayed worse up to the last look while the reward rose.

        Args:
            policy: its name.
            state: where training ended.
        """
        if not reward_rose(state):
            return []
        first, last = state.rows[0], state.rows[-1]
        return [
            GuardAlarm(
                policy=policy,
                guard=guard.name,
                began=state.worse_since[guard.name],
                reward_before=first[REWARD],
                reward_after=last[REWARD],
                guard_before=first[column(guard.name)],
                guard_after=last[column(guard.name)],
                chosen=state.best_update,
                examples=self._examples(guard, state.first_outputs, state.last_outputs),
            )
            for guard in self.metrics
            if guard.name in state.worse_since
        ]

    def _measure(self, outputs: Sequence[str]) -> dict[str, _Measured]:
        samples = pair_samples(self.examples, outputs)
        statistics = [guard.statistics(samples) for guard in self.metrics]
        draws = self.bootstrap.scores(self.metrics, statistics)
        return {
            guard.name: _Measured(score=float(guard.corpus(rows.sum(axis=0))), draws=drawn)
            for guard, rows, drawn in zip(self.metrics, statistics, draws, strict=True)
        }

    def _examples(
        self, guard: Evaluator, before: Sequence[str], after: Sequence[str]
    ) -> tuple[Divergent, ...]:
        """Choose the outputs that lost most by a guard; ties in the order of the examples."""
        rows = []
        scores = [
            checked_score(guard, pair_samples(self.examples, x)).values for x in (before, after)
        ]
        for place, (one, other) in enumerate(zip(*scores, strict=True)):
            if one is not None and other is not None and other < one:
                rows.append((other - one, place, one, other))
        return tuple(
            Divergent(
                source=self.examples[place].source,
                reference=self.examples[place].references[0],
                before=before[place],
                after=after[place],
                score_before=one,
                score_after=other,
            )
            for _, place, one, other in sorted(rows)[:NUM_EXAMPLES]
        )


def column(guard: str) -> str:
    """Name a guard in the history."""
    return f"validation_{guard}"


def reward_rose(state: TrainingState) -> bool:
    """Say whether the last look's reward is above the start's: that of greedy outputs or of draws.

    Draws are held against the first ones of the same phase, whose evaluator is the same.
    """
    first, last = state.rows[0], state.rows[-1]
    if last[REWARD] > first[REWARD]:
        return True
    drawn = [
        row["reward"] for row in state.rows if row["update"] > state.phase_start and "reward" in row
    ]
    return bool(drawn) and drawn[-1] > drawn[0]


def make_guards(settings: FinetuneSettings, corpus: Corpus, seed: int) -> Guards | None:
    """Make the guards that settings name; None where they name none.

    Args:
        settings: of the whole fine-tuning.
        corpus: the validation split.
        seed: of the resamples.

    Raises:
        SettingsError: a guard would have to learn before it can measure.
    """
    if not settings.guards:
        return None
    metrics = [build_evaluator(name, found) for name, found in settings.guards.items()]
    for guard in metrics:
        if guard.learners():
            raise SettingsError(
                f"finetune.guards.{guard.name}: learns from a policy's candidates, and nothing has "
                "taught it here; take a metric that does not learn"
            )
    num_sources = min(settings.validation.num_sources or len(corpus), len(corpus))
    return Guards(
        metrics,
        corpus.rows(list(range(num_sources))),
        Bootstrap(seed=seed, resamples=settings.guarding.resamples),
        settings.guarding.significance,
    )
