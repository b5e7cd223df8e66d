"""One update: a rollout in, a step of the optimiser out."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from goa.objectives.contract import Batch, Need, Objective
from goa.objectives.divergence import Divergence
from goa.objectives.head import Head
from goa.policies.policy import Policy
from goa.policies.tokens import WantedEntropy
from goa.randomness import derive_seed
from goa.rollouts.rollout import Rollout, Rounds
from goa.trainer.anchor import Anchor
from goa.trainer.diagnostics import (
    Lesson,
    Totals,
    add,
    count_over,
    counted,
    measured,
    over_the_team,
    said_of,
)
from goa.trainer.optimiser import Optimiser
from goa.trainer.perturbation import Perturbation
from goa.trainer.team import Team


class NotFiniteError(Exception):
    """Training has met a number that is none; carries the batch it met it in."""

    def __init__(self, message: str, rollout: Rollout) -> None:
        super().__init__(message)
        self.batch: Mapping[str, Tensor] = {
            "sources": rollout.sources.ids,
            "sources_mask": rollout.sources.mask,
            **{
                name: value
                for name in (field.name for field in dataclasses.fields(rollout))
                if isinstance(value := getattr(rollout, name), Tensor)
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One term of what an update minimises."""

    objective: Objective
    """What is summed."""
    coefficient: Callable[[int], float] = lambda _: 1.0
    """What its mean over the step is multiplied by; takes the updates done before, 0 leaves it
    out."""
    of_references: bool = False
    """Whether it looks at the rollout's references, not at its candidates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    objective: Objective
    factor: float
    """The coefficient over the whole step's weight."""
    of_references: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePlan:
    """How steps are taken on a rollout."""

    seed: int
    """Of dropout."""
    dropout: bool = False
    """Whether the policy's dropout is on during updates. Rewards are earned without it, so
    policy-gradient updates must be without it too: with it the divergence from the pretrained
    policy is not 0 even before the first step."""
    steps_per_round: int = 1
    """Steps of the optimiser on a rollout, each on the whole of it. After the first, candidates are
    another policy's, which objectives with importance ratios make up for."""
    perturbation: Perturbation | None = None
    """Makes adversarial samples of some sources, where that is wanted."""


class Updater:
    """Takes steps towards the sum of several aims."""

    def __init__(
        self,
        policy: Policy,
        aims: Sequence[Aim],
        plan: UpdatePlan,
        anchor: Anchor | None = None,
        team: Team | None = None,
    ) -> None:
        """Set the updater up.

        Args:
            policy: trained in place.
            aims: what is minimised.
            plan: how steps are taken.
            anchor: the pretrained policy, where the divergence from it and the entropy are to be
                measured.
            team: the other processes that learn from the same rounds; None: there are none.
        """
        self.policy = policy
        self.aims = list(aims)
        self.heads: Sequence[Head] = [
            aim.objective for aim in aims if isinstance(aim.objective, Head)
        ]
        self.plan = plan
        self.team = team or Team()
        self.anchor = anchor
        if anchor is not None:
            self.aims.append(
                Aim(objective=Divergence(), coefficient=lambda _: anchor.weight_in_loss)
            )

    def update(self, rollout: Rollout, optimiser: Optimiser, update: int) -> Totals:
        """Take the steps of one round on a rollout; give its diagnostics, averaged over them.

        No step is taken where nothing is to be learnt: no aim has any weight.

        Raises:
            NotFiniteError: the loss or a gradient is not finite.
        """
        self.policy.learn(dropout=self.plan.dropout)
        rollout = self.attach(rollout.by_length(), optimiser.settings.tokens_per_pass)
        shares = self._shares(rollout, update)
        totals: Totals = {}
        for turn in range(self.plan.steps_per_round):
            member = (self.team.rank,) if self.team.rank else ()
            seed = derive_seed(self.plan.seed, "dropout", update, turn, *member)
            torch.manual_seed(seed % 2**63)
            if self.plan.perturbation is not None:
                chosen = self.plan.perturbation.choose(len(rollout), update, turn)
                rollout = replace(rollout, perturbed_mask=chosen)
            own = self._accumulate(rollout, shares, optimiser.settings.tokens_per_pass, totals)
            (loss,) = self.team.totals([own])
            self.team.add_gradients(optimiser.parameters)
            if not math.isfinite(loss):
                raise NotFiniteError(f"the loss is {loss}", rollout)
            norm = optimiser.step(update)  # none, where no weight has a gradient
            if not math.isfinite(norm):
                raise NotFiniteError("a gradient is not finite", rollout)
            add(totals, {"loss": (loss, 1.0), "grad_norm": (norm, 1.0)})
        self.policy.model.eval()
        totals = over_the_team(totals, self.team)
        if self.anchor is not None:
            kl, count = totals["kl"]
            self.steer(kl / count)
        return totals

    def attach(self, rollout: Rollout, tokens_per_pass: int) -> Rollout:
        """Put the anchor's log-probs, and its price, into a rollout, where there is an anchor."""
        return rollout if self.anchor is None else self.anchor.attach(rollout, tokens_per_pass)

    def steer(self, kl: float) -> None:
        """Tell the anchor, where there is one, how far the policy has moved, in nats."""
        if self.anchor is not None:
            self.anchor.steer(kl)

    @torch.no_grad()
    def measure(self, rollout: Rollout, tokens_per_pass: int) -> Totals:
        """Measure what a step on an attached rollout would, and take none."""
        totals: Totals = {}
        for part in rollout.cut(tokens_per_pass):
            add(totals, measured(self._score(part, frozenset())))
        return over_the_team(totals, self.team)

    def _accumulate(
        self, rollout: Rollout, shares: Sequence[_Share], tokens_per_pass: int, totals: Totals
    ) -> float:
        """Add up a step's gradient, pass by pass; give its loss."""
        parts = list(rollout.cut(tokens_per_pass))
        sharded = self.policy.shards is not None
        num_passes = self.team.most(len(parts)) if sharded else len(parts)
        loss = sum(self._pass(part, shares, totals) for part in parts)
        # Shards are gathered pass by pass, by all processes or by none.
        nothing = [replace(share, factor=0.0) for share in shares]
        for _ in range(num_passes - len(parts)):
            self._pass(parts[0], nothing, {})
        return loss

    def _pass(self, part: Rollout, shares: Sequence[_Share], totals: Totals) -> float:
        """Add the gradient of a part, and of its references; give its share of the step's loss."""
        of_references = [share for share in shares if share.of_references]
        of_candidates = [share for share in shares if not share.of_references]
        loss = self._learn(part, of_candidates, totals)
        if part.references is not None and of_references:
            references = replace(part.references, perturbed_mask=part.perturbed_mask)
            loss += self._learn(references, of_references, totals)
        return loss

    def _shares(self, rollout: Rollout, update: int) -> list[_Share]:
        """Divide each aim's coefficient by its weight in the whole step."""
        shares = []
        for aim in self.aims:
            looked_at = rollout.references if aim.of_references else rollout
            coefficient = aim.coefficient(update)
            if looked_at is None or coefficient == 0.0:
                continue
            own = aim.objective.weigh(looked_at.mask, looked_at.rewards)
            (weight,) = self.team.totals([own])
            if weight > 0.0:
                factor = coefficient / weight
                shares.append(
                    _Share(objective=aim.objective, factor=factor, of_references=aim.of_references)
                )
        return shares

    def _learn(self, part: Rollout, shares: Sequence[_Share], totals: Totals) -> float:
        """Score a part, add its gradient, and give its share of the step's loss.

        Of adversarial samples the diagnostics are those of the sources as they were.
        """
        if self.plan.perturbation is None or part.perturbed_mask is None or not shares:
            loss = self._loss(part, shares, totals)
        else:
            attacked = self.plan.perturbation.attack(
                part.sources,
                part.perturbed_mask,
                lambda moved: self._loss(replace(part, sources=moved), shares, totals),
            )
            loss = self._loss(replace(part, sources=attacked), shares, {})
        if shares:
            torch.autograd.backward(loss)
        return float(loss.detach())

    def _loss(self, part: Rollout, shares: Sequence[_Share], totals: Totals) -> Tensor:
        """Give a part's share of the step's loss, with gradient."""
        needs = frozenset().union(*(share.objective.needs for share in shares))
        with torch.set_grad_enabled(bool(shares)):
            batch = self._score(part, needs)
        add(totals, measured(batch))
        loss = torch.zeros((), device=part.mask.device)
        for share in shares:
            found = share.objective(batch)
            loss = loss + share.factor * found.sum
            add(totals, found.diagnostics)
        return loss

    def _score(self, part: Rollout, needs: frozenset[Need]) -> Batch:
        wanted: WantedEntropy = "none"
        if "entropy" in needs:
            wanted = "gradient"
        elif self.anchor is not None and part.rewards is not None:
            wanted = "value"
        scores = self.policy.score(
            part.sources, part.tokens, part.mask, entropy=wanted, states="states" in needs
        )
        batch = Batch(
            mask=part.mask,
            log_probs=scores.log_probs,
            mean_log_probs=scores.mean_log_probs,
            entropy=scores.entropy,
            distinct_mask=part.distinct_mask,
            written_log_probs=part.log_probs,
            pretrained_log_probs=part.pretrained_log_probs,
            rewards=part.rewards,
            greedy_rewards=part.greedy_rewards,
            credits=part.credits,
            prefix_mask=part.prefix_mask,
            states=scores.states,
        )
        if part.rewards is not None:
            for head in self.heads:
                batch = head.fill(batch)
        return batch


class RolloutLearner:
    """Learns from rollouts, each made when its turn comes."""

    def __init__(self, rounds: Rounds, updater: Updater) -> None:
        self.rounds = rounds
        self.updater = updater
        self.heads: Sequence[Head] = updater.heads

    def __len__(self) -> int:
        """Count the rounds."""
        return len(self.rounds)

    def learn(self, index: int, optimiser: Optimiser) -> Lesson:
        """Make the rollout of one round, and learn from it."""
        with self.updater.policy.whole():
            rollout = self.rounds[index]
        team = self.updater.team
        totals = self.updater.update(rollout, optimiser, index) | said_of(rollout, team)
        return Lesson(totals=totals, counts=count_over(team, counted(rollout)))
