"""``goa promote``: put a policy of this project forward as the champion of the registry.

It becomes the champion if it is significantly better than the present one by one metric, and
significantly worse by none of the guards; otherwise it is the challenger. Both are decoded and
scored here and now, on the same test set by the same scorers: old numbers are not looked at.
Without a champion the pretrained policy of the same run stands in for it.

Others may promote at the same time. Judging takes minutes and holds nobody up; only to write it
down everybody takes turns, and who then finds another champion than the one that was judged
against, judges again.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from goa.arms import BASELINE
from goa.errors import GoaError, PipelineError
from goa.evaluation.measure import Measurement
from goa.evaluation.storage import PolicyEvaluation
from goa.report.promotion import Rule, judge
from goa.tracking.registry import Version
from pipelines.contender import find_contender, recorded
from pipelines.promotion import (
    POLICY_DIGEST,
    SCORER,
    TEST_DIGEST,
    Outcome,
    Promotion,
    model_card,
    now,
    version_tags,
    who,
    write_down,
)
from pipelines.results import COMPARISON
from pipelines.retest import Retest
from pipelines.rollback import ROLLED_BACK, open_registry
from pipelines.stage import PARAMS, STATE, silence_foreign_bars

if TYPE_CHECKING:
    from goa.config import Params

ATTEMPTS = 3
"""How often a candidate is judged while others move the champion."""
ACCEPTED = "goa.test_digest.accepted"
"""Tag of a champion: another test set that somebody agreed to judge it by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """What a person has agreed to."""

    new_test_set: bool = False
    """Judge although the champion was promoted on another test set."""
    again: bool = False
    """Promote although the version was rolled back."""


def promote(name: str | None, consent: Consent, tell: Callable[[str], None]) -> Promotion:
    """Judge a policy against the champion and write down what comes of it.

    Args:
        name: of the policy; None takes the comparison's best fine-tuned one.
        consent: what may be passed over.
        tell: is told what is being done.

    Raises:
        PipelineError: there is no such policy, the champion cannot be judged, or others move the
            champion all the time.
        TrackingError: the store cannot be used.
        GoaError: a setting, a policy or an evaluator cannot be used.
    """
    from goa.config import check  # noqa: PLC0415 - brings in the trainer

    silence_foreign_bars()
    bid = _Bid(check(PARAMS), name, consent, tell)
    for _ in range(ATTEMPTS):
        promotion = bid.attempt()
        if promotion is not None:
            write_down(promotion)
            return promotion
        tell("another version became champion in the meantime; judging again")
    raise PipelineError(
        f"{bid.registry.model}: the champion changed {ATTEMPTS} times while this was judged; "
        "nothing was changed; try again"
    )


class _Bid:
    """One candidate, measured once, against whoever is champion when it is asked."""

    def __init__(
        self, params: "Params", name: str | None, consent: Consent, tell: Callable[[str], None]
    ) -> None:
        asked, measured = params.promotion, params.evaluate.measured_by(params.evaluators)
        metric = asked.metric or params.compare.primary_metric or next(iter(measured))
        self._strategy = asked.strategy or next(iter(params.evaluate.strategies))
        self._find = partial(find_contender, params=params, strategy=self._strategy, metric=metric)
        self._contender = self._find(name)
        self._rule = Rule(
            metric=metric,
            guards=tuple(asked.guards),
            significance=asked.significance,
            resamples=asked.resamples,
            seed=params.seed,
            num_tried=self._contender.num_tried,
        )
        self._retest = Retest(params, self._strategy, self._rule.measures)
        self._evaluation: PolicyEvaluation | None = None
        self._consent = consent
        self._tell = tell
        self.registry = open_registry(asked)
        self._published = recorded(self._contender, self.registry)

    def attempt(self) -> Promotion | None:
        """Judge, and write it down; None if the champion changed in between."""
        champion = self.registry.champion()
        if champion is not None and self._is_ours(champion):
            found = self._promotion(Outcome.PRESENT, "nothing", "it is the champion already")
            return replace(found, version=champion.number)
        known = self._known()
        rolled_back = known.tags.get(ROLLED_BACK) if known else None
        if known is not None and rolled_back and not self._consent.again:
            reason = f"it was rolled back {rolled_back}; --again promotes it all the same"
            found = self._promotion(Outcome.ROLLED_BACK, "nothing", reason)
            return replace(found, version=known.number)
        promotion = self._judge(champion)
        with self.registry.turn():
            if _number(self.registry.champion()) != _number(champion):
                return None
            return self._settle(promotion, champion)

    def _is_ours(self, version: Version) -> bool:
        return (
            version.model_id == self._published.model_id
            or version.tags.get(POLICY_DIGEST) == self._contender.digest
        )

    def _known(self) -> Version | None:
        """Find the version that this very policy is already, the latest if there are more."""
        found = [version for version in self.registry.versions() if self._is_ours(version)]
        return found[-1] if found else None

    def _judge(self, champion: Version | None) -> Promotion:
        candidate, rival = self._candidate(), self._rival(champion)
        if rival is None:
            reason = f"the first version is {BASELINE} itself: there is nothing to hold it against"
            return self._promotion(Outcome.PROMOTED, "nothing", reason)
        judgement = judge(candidate, rival, self._rule)
        outcome = Outcome.PROMOTED if judgement.accepted else Outcome.CHALLENGER
        reason = judgement.reason
        if champion is not None:
            reason = "; ".join([reason, *self._other_scorers(champion)])
            if not self._same_test_set(champion):
                reason = (
                    f"version {champion.number} became champion on another test set, and both were "
                    f"scored on the one that is here: {reason}"
                )
                if not self._consent.new_test_set:
                    outcome = Outcome.OTHER_TEST_SET
                    reason += "; --new-test-set lets that decide"
        return replace(self._promotion(outcome, rival.policy, reason), judgement=judgement)

    def _candidate(self) -> PolicyEvaluation:
        if self._evaluation is None:
            self._tell(f"writing the test split with {self._contender.name}")
            self._evaluation = self._retest(self._contender.folder, self._contender.name)
        return self._evaluation

    def _rival(self, champion: Version | None) -> PolicyEvaluation | None:
        if champion is None:
            if self._contender.name == BASELINE:
                return None
            self._tell(f"there is no champion; writing the test split with {BASELINE}")
            return self._retest(self._find(BASELINE).folder, BASELINE)
        name = f"version {champion.number}"
        self._tell(f"writing the test split with the champion, {name}")
        STATE.mkdir(exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=STATE) as folder:
                return self._retest(self.registry.download(champion, Path(folder)), name)
        except GoaError as error:
            raise PipelineError(
                f"{name} of {self.registry.model!r}, the champion, cannot be judged afresh: {error}"
                "\nNothing was changed. Mend it, `goa rollback`, or take the alias champion away."
            ) from None

    def _same_test_set(self, champion: Version) -> bool:
        # A version that was registered by hand does not say; there is nothing to contradict.
        known = {champion.tags.get(TEST_DIGEST), champion.tags.get(ACCEPTED)} - {None}
        return not known or self._retest.digest in known

    def _other_scorers(self, champion: Version) -> list[str]:
        """Name the measures that scored otherwise when the champion was registered."""
        then = {each.name: champion.tags.get(SCORER + each.name) for each in self._measured()}
        return [
            f"{each.name} scores otherwise than for version {champion.number}; both were scored by "
            f"{each.signature}"
            for each in self._measured()
            if then[each.name] not in (None, each.signature)
        ]

    def _measured(self) -> list[Measurement]:
        found = self._candidate().evaluations[self._strategy].measurements
        return [found[name] for name in self._rule.measures]

    def _settle(self, promotion: Promotion, champion: Version | None) -> Promotion:
        contender = self._contender
        report = contender.report and self.registry.artifact_uri(
            contender.report, f"{Path(COMPARISON).name}/report.md"
        )
        measured = self._measured()
        tags = version_tags(promotion, contender, self._published, measured, report or None)
        card = model_card(promotion, measured)
        version = self._known()
        if version is None:
            version = self.registry.register(self._published, tags, card)
        else:
            self.registry.describe(version.number, tags, card)
        if promotion.outcome is Outcome.PROMOTED:
            self.registry.crown(version.number)
            promoted = f"{promotion.time} by {promotion.by}"
            self.registry.tag(version.number, {"goa.promoted": promoted, ROLLED_BACK: ""})
        else:
            self.registry.challenge(version.number)
            if champion is not None and self._consent.new_test_set:
                self.registry.tag(champion.number, {ACCEPTED: self._retest.digest})
        return replace(promotion, version=version.number)

    def _promotion(self, outcome: Outcome, compared_with: str, reason: str) -> Promotion:
        return Promotion(
            outcome=outcome,
            model=self.registry.model,
            version=0,
            policy=self._contender.name,
            compared_with=compared_with,
            reason=reason,
            test_digest=self._retest.digest,
            time=now(),
            by=who(),
        )


def _number(version: Version | None) -> int | None:
    return None if version is None else version.number
