"""Evolution strategies: better weights found by trying, without a backward pass."""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from goa.objectives.head import Head
from goa.randomness import derive_seed
from goa.records import Example
from goa.rollouts.controls import shuffled
from goa.rollouts.rollout import Rollout
from goa.rollouts.rounds import CandidateRounds
from goa.trainer.diagnostics import Counts, Lesson, count_over, counted, said_of
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import EvolutionSettings
from goa.trainer.update import NotFiniteError, Updater


class Evolution:
    """Evolution strategies (Salimans et al., 2017, algorithm 1; Qiu et al., 2025).

    With F(w) the mean reward of what the policy with weights w writes for the round's sources, the
    gradient of the loss is ``-1 / (2 n sigma) sum_i (F(w + sigma e_i) - F(w - sigma e_i)) e_i``
    with e_i drawn from a standard normal distribution: minus that of the expected reward under
    perturbed weights.

    Departures from the papers:

    1. Perturbations in pairs (antithetic), and ranks from -1/2 to 1/2 in the place of rewards, as
       in Salimans et al.; Qiu et al. standardise rewards instead.
    2. The optimiser is the one of all other objectives, with its clipping.
    3. Both sides of a pair, and all pairs, write with the same draws.
    """

    heads: Sequence[Head] = ()

    def __init__(
        self,
        rounds: CandidateRounds,
        updater: Updater,
        parameters: Mapping[str, Tensor],
        settings: EvolutionSettings,
        seed: int,
    ) -> None:
        """Set the search up.

        Args:
            rounds: where sources come from, and who writes and scores.
            updater: measures divergence and entropy; holds the anchor.
            parameters: what is perturbed: all weights, or those of an adapter.
            settings: how much and how often.
            seed: of the perturbations.
        """
        self.rounds = rounds
        self.updater = updater
        self.parameters = parameters
        self.settings = settings
        self.seed = seed
        self._counts = Counts()

    def __len__(self) -> int:
        """Count the rounds."""
        return len(self.rounds)

    @torch.no_grad()
    def learn(self, index: int, optimiser: Optimiser) -> Lesson:
        """Try perturbations on the sources of one round, and step."""
        self.updater.policy.model.eval()
        self._counts = Counts()
        examples = self.rounds.examples(index)
        tokens_per_pass = optimiser.settings.tokens_per_pass
        centre = self.updater.attach(self._write(examples, index), tokens_per_pass)
        totals = self.updater.measure(centre, tokens_per_pass)
        totals |= said_of(centre, self.updater.team)
        rewards = torch.tensor(
            [
                [self._reward(examples, index, tokens_per_pass) for _ in self._sides(index, pair)]
                for pair in range(self.settings.num_pairs)
            ]
        )
        if (
            self.rounds.plan.control == "shuffled"
        ):  # among candidates it would leave means as they are
            rewards = shuffled(rewards, self.seed, index)
        self._set_gradient(index, _ranks(rewards) if self.settings.ranked else rewards)
        norm = optimiser.step(index)
        if not math.isfinite(norm):
            raise NotFiniteError("the search direction is not finite", centre)
        spread = float(rewards.std(correction=0))
        kl, count = totals["kl"]
        self.updater.steer(kl / count)
        totals |= {"perturbed_spread": (spread, 1.0), "grad_norm": (norm, 1.0)}
        return Lesson(totals=totals, counts=count_over(self.updater.team, self._counts))

    def _write(self, examples: Sequence[Example], index: int) -> Rollout:
        """Write and score candidates with the weights as they are."""
        seed = derive_seed(self.rounds.plan.seed, "round", index)
        rollout = self.rounds.writer.write(examples, seed, index)
        self._counts += counted(rollout)
        return rollout

    def _reward(self, examples: Sequence[Example], index: int, tokens_per_pass: int) -> float:
        """Give what the weights as they are earn: the mean over the round of the whole team."""
        rollout, anchor = self._write(examples, index), self.updater.anchor
        if anchor is not None and anchor.prices_rewards:
            rollout = anchor.attach(rollout, tokens_per_pass)
        rewards = rollout.rewards
        assert rewards is not None
        total, count = self.updater.team.totals([float(rewards.double().sum()), rewards.numel()])
        return total / count

    def _sides(self, index: int, pair: int) -> Iterator[float]:
        """Put the weights to one side of where they are, then to the other; then back, exactly."""
        kept = {name: weight.clone() for name, weight in self.parameters.items()}
        try:
            for side in (self.settings.sigma, -self.settings.sigma):
                for name, noise in self._noise(index, pair):
                    self.parameters[name].copy_(kept[name] + side * noise)
                yield side
        finally:
            for name, weight in self.parameters.items():
                weight.copy_(kept[name])

    def _noise(self, index: int, pair: int) -> Iterator[tuple[str, Tensor]]:
        """Draw a perturbation, weight by weight; it is never kept whole."""
        generator = torch.Generator()
        generator.manual_seed(derive_seed(self.seed, "evolution", index, pair) % 2**63)
        for name, weight in self.parameters.items():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float32)
            yield name, noise.to(weight)

    def _set_gradient(self, index: int, rewards: Tensor) -> None:
        """Set the gradient of the loss from what each side earned, [num_pairs, 2]."""
        for weight in self.parameters.values():
            weight.grad = torch.zeros_like(weight)
        scale = 2 * self.settings.num_pairs * self.settings.sigma
        for pair, (one, other) in enumerate(rewards.tolist()):
            for name, noise in self._noise(index, pair):
                gradient = self.parameters[name].grad
                assert gradient is not None
                gradient.add_(noise, alpha=-(one - other) / scale)


def _ranks(rewards: Tensor) -> Tensor:
    """Give ranks from -1/2 to 1/2; what earned the same has the same, the middle of its ranks."""
    flat = rewards.flatten()
    below = (flat.unsqueeze(0) < flat.unsqueeze(1)).sum(dim=1)
    equal = (flat.unsqueeze(0) == flat.unsqueeze(1)).sum(dim=1)
    middle = below + (equal - 1) / 2
    return (middle / (len(flat) - 1) - 0.5).view_as(rewards)
