"""Looks at the validation split: which policy is the best, and which guards have fallen."""

from collections.abc import Mapping

from goa.policies.policy import Policy
from goa.trainer.collapse import find_collapse
from goa.trainer.contract import Guarded, Guarding, Phase, TrainingState, Validation, Watcher


class Looks:
    """The looks of one phase; what they find goes into the state of the run.

    The best policy so far has the highest score of those whose guards are not significantly worse
    than at the start; a phase's first look, at what the one before chose, is one in any case.
    """

    def __init__(
        self, phase: Phase, state: TrainingState, policy: Policy, guards: Guarding | None
    ) -> None:
        """Set the looks up.

        Args:
            phase: how to look.
            state: where the run stands; changed by every look.
            policy: what is looked at.
            guards: what must not become worse than at the start of the run.
        """
        self._phase = phase
        self._state = state
        self._policy = policy
        self._guards = guards

    def look(self, means: Mapping[str, float], watcher: Watcher) -> bool:
        """Validate, note it, and say whether the policy is the best so far.

        Args:
            means: diagnostics since the look before, by name.
            watcher: hears of guards that have just become worse.
        """
        state = self._state
        self._policy.model.eval()
        with self._policy.whole():
            seen = self._phase.validate()
        guarded = self._guard(seen)
        state.rows.append({"update": state.update, **means, **seen.values, **guarded.values})
        self._tell(guarded, watcher)
        if state.first_entropy is None:
            state.first_entropy = means.get("entropy")
        self._score = seen.score
        is_better = seen.score > state.best_score and not guarded.worse
        if is_better or not state.is_under_way:
            state.best_score, state.best_update = seen.score, state.update
            state.looks_since_best = 0
            return True
        state.looks_since_best += 1
        return False

    def find_collapse(self) -> str | None:
        """Say how the policy of the last look has collapsed, and note whether; None: it has not."""
        state, row = self._state, self._state.rows[-1]
        if self._phase.collapse is None:
            return None
        found = find_collapse(
            self._phase.collapse,
            score=(self._score, state.best_score),
            entropy=(row.get("entropy"), state.first_entropy),
        )
        row["collapsed"] = float(found is not None)
        return found

    def _guard(self, seen: Validation) -> Guarded:
        """Measure the guards of a look, if there are any."""
        state, guards = self._state, self._guards
        if guards is None:
            return Guarded(values={}, worse={})
        if not state.rows:
            state.first_outputs = list(seen.outputs)
        state.last_outputs = list(seen.outputs)
        return guards.look(seen.outputs, state.first_outputs)

    def _tell(self, guarded: Guarded, watcher: Watcher) -> None:
        """Note since when guards are worse, and say which have just become so."""
        state = self._state
        before, state.worse_since = state.worse_since, {}
        for name, fall in guarded.worse.items():
            state.worse_since[name] = before.get(name, state.update)
            if name not in before:
                first, now = (row["validation_reward"] for row in (state.rows[0], state.rows[-1]))
                watcher.say(
                    f"update {state.update}: guard {name} is significantly worse than at the start "
                    f"({fall}), while the validation reward went from {first:.4f} to {now:.4f}; "
                    "until it recovers, no policy counts as the best"
                )
