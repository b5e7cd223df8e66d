"""Evolution: its search direction against its own definition, by brute force."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from goa.data.corpus import Corpus
from goa.decoding.settings import SampleSettings
from goa.evaluators.contract import Evaluator
from goa.policies.adapter import AdapterSettings, add_adapter
from goa.policies.policy import Policy
from goa.records import Example, Sample, Scores
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.rollouts.rounds import CandidateRounds, RoundPlan
from goa.trainer.anchor import Anchor
from goa.trainer.evolution import Evolution, _ranks
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import DivergenceSettings, EvolutionSettings, OptimiserSettings
from goa.trainer.update import NotFiniteError, UpdatePlan, Updater
from tests.conftest import SENTENCES, write_corpus

STRATEGY = SampleSettings(kind="sample", num_candidates=2, max_tokens=6)


class Weight(Evaluator):
    """Pays by one weight of the policy, whatever is written: a reward whose gradient is known."""

    name = signature = "weight"

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.calls = 0

    def score(self, samples: Sequence[Sample]) -> Scores:
        self.calls += 1
        value = 0.5 + float(self.policy.model.get_parameter(NAME).detach().flatten()[3])
        return Scores(values=(value,) * len(samples))


NAME = "model.encoder.layers.0.fc1.weight"


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    examples = [
        Example(id=f"train-{row}", source=text, references=(text,))
        for row, text in enumerate(SENTENCES)
    ]
    return write_corpus(tmp_path / "train.arrow", examples)


def evolution(
    policy: Policy, corpus: Corpus, divergence: Mapping[str, Any] | None = None, **settings: Any
) -> Evolution:
    evaluator = Weight(policy)
    writer = CandidateWriter(policy, evaluator, STRATEGY, RolloutNeeds())
    plan = RoundPlan(num_rounds=5, sources_per_round=3, seed=2)
    anchor = Anchor(policy, DivergenceSettings(**(divergence or {})))
    updater = Updater(policy, [], UpdatePlan(seed=1), anchor)
    made = EvolutionSettings(kind="evolution", **settings)
    return Evolution(
        CandidateRounds(writer, corpus, None, plan), updater, policy.trained(), made, seed=4
    )


class Catch(Optimiser):
    """Keeps the gradient instead of stepping."""

    def step(self, update: int) -> float:
        self.caught = {
            name: weight.grad.clone()
            for name, weight in zip(self.names, self.adam.param_groups[0]["params"], strict=True)
        }
        return 1.0


def test_the_gradient_is_the_antithetic_estimate(policy: Policy, corpus: Corpus) -> None:
    search = evolution(policy, corpus, num_pairs=3, sigma=0.01, ranked=False)
    optimiser = Catch(policy.trained(), OptimiserSettings(), 5)
    search.learn(0, optimiser)
    # The reward is one weight: both sides differ by 2 sigma e[3] of that weight.
    noises = [dict(search._noise(0, pair)) for pair in range(3)]
    for name, found in optimiser.caught.items():
        expected = -sum(
            noise[name] * 2 * 0.01 * float(noise[NAME].flatten()[3]) for noise in noises
        ) / (2 * 3 * 0.01)
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-5), name


def test_over_many_pairs_it_points_where_the_reward_rises(policy: Policy, corpus: Corpus) -> None:
    search = evolution(policy, corpus, num_pairs=200, sigma=0.01, ranked=False)
    optimiser = Catch(policy.trained(), OptimiserSettings(), 5)
    search.learn(0, optimiser)
    found = optimiser.caught[NAME].flatten()
    # The exact gradient is -1 at one place and 0 elsewhere; the estimate's deviation is 200**-0.5.
    assert float(found[3]) == pytest.approx(-1.0, abs=0.4)
    others = torch.cat([found[:3], found[4:]])
    assert float(others.std()) == pytest.approx(1 / math.sqrt(200), rel=0.3)


def test_the_weights_are_put_back_exactly(policy: Policy, corpus: Corpus) -> None:
    before = {name: weight.detach().clone() for name, weight in policy.trained().items()}
    search = evolution(policy, corpus, num_pairs=2)
    search.learn(0, Catch(policy.trained(), OptimiserSettings(), 5))
    assert all(torch.equal(weight, before[name]) for name, weight in policy.trained().items())


def test_it_writes_without_dropout(policy: Policy, corpus: Corpus) -> None:
    policy.model.train()
    evolution(policy, corpus, num_pairs=1).learn(0, Catch(policy.trained(), OptimiserSettings(), 5))
    assert not policy.model.training


def test_the_reward_rises(policy: Policy, corpus: Corpus) -> None:
    search = evolution(policy, corpus, num_pairs=4)
    optimiser = Optimiser(policy.trained(), OptimiserSettings(learning_rate=1e-2), 5)
    rewards = [search.learn(index, optimiser).totals["reward"][0] for index in range(5)]
    assert rewards[-1] > rewards[0] + 0.005


def test_a_round_is_the_same_whenever_it_is_done(
    make_policy: Callable[..., Policy], corpus: Corpus
) -> None:
    def gradient(first: int) -> Tensor:
        policy = make_policy()
        search = evolution(policy, corpus, num_pairs=2)
        optimiser = Catch(policy.trained(), OptimiserSettings(), 5)
        for index in range(first, 3):
            search.learn(index, optimiser)
        return optimiser.caught[NAME]

    assert torch.equal(gradient(0), gradient(2))


def test_what_every_side_wrote_is_counted(policy: Policy, corpus: Corpus) -> None:
    search = evolution(policy, corpus, num_pairs=2)
    lesson = search.learn(1, Catch(policy.trained(), OptimiserSettings(), 5))
    num_texts = (1 + 2 * 2) * 3 * 2  # as it is and on two sides of each pair; sources; candidates
    assert lesson.counts.texts == num_texts
    assert num_texts <= lesson.counts.tokens <= 6 * num_texts
    assert not {"texts", "tokens"} & lesson.totals.keys()


def test_ranks_take_the_place_of_rewards(policy: Policy, corpus: Corpus) -> None:
    search = evolution(policy, corpus, num_pairs=2, sigma=0.01)
    optimiser = Catch(policy.trained(), OptimiserSettings(), 5)
    search.learn(0, optimiser)
    noises = [dict(search._noise(0, pair)) for pair in range(2)]
    moves = [float(noise[NAME].flatten()[3]) for noise in noises]
    ordered = sorted([*moves, *(-move for move in moves)])
    ranks = [(ordered.index(move) / 3 - 0.5, ordered.index(-move) / 3 - 0.5) for move in moves]
    expected = -sum(
        (one - other) * noise[NAME] for (one, other), noise in zip(ranks, noises, strict=True)
    ) / (2 * 2 * 0.01)
    assert torch.allclose(optimiser.caught[NAME], expected, rtol=1e-4)


def test_over_adapters_nothing_else_is_touched(policy: Policy, corpus: Corpus) -> None:
    add_adapter(policy, AdapterSettings(rank=1), seed=1)
    kept = policy.model.get_parameter("model.shared.weight").detach().clone()
    trained = policy.trained()
    assert all("lora" in name for name in trained)
    writer = CandidateWriter(policy, Constant(), STRATEGY, RolloutNeeds())
    rounds = CandidateRounds(
        writer, corpus, None, RoundPlan(num_rounds=2, sources_per_round=3, seed=2)
    )
    updater = Updater(policy, [], UpdatePlan(seed=1), Anchor(policy, DivergenceSettings()))
    settings = EvolutionSettings(kind="evolution", num_pairs=2)
    search = Evolution(rounds, updater, trained, settings, seed=4)
    totals = search.learn(0, Optimiser(trained, OptimiserSettings(), 2)).totals
    assert torch.equal(policy.model.get_parameter("model.shared.weight"), kept)
    assert {"kl", "entropy", "reward", "grad_norm", "length"} <= totals.keys()
    assert totals["grad_norm"][0] == 0.0  # all earned the same: nothing is known


class Constant(Evaluator):
    """Pays the same for everything."""

    name = signature = "constant"

    def score(self, samples: Sequence[Sample]) -> Scores:
        return Scores(values=(0.5,) * len(samples))


def test_the_price_of_divergence_is_part_of_what_is_earned(policy: Policy, corpus: Corpus) -> None:
    """With a constant reward, only the price tells the sides apart."""
    writer = CandidateWriter(policy, Constant(), STRATEGY, RolloutNeeds())
    rounds = CandidateRounds(
        writer, corpus, None, RoundPlan(num_rounds=2, sources_per_round=3, seed=2)
    )
    anchor = Anchor(policy, DivergenceSettings(weight=0.5))
    updater = Updater(policy, [], UpdatePlan(seed=1), anchor)
    settings = EvolutionSettings(kind="evolution", num_pairs=2, sigma=0.1)
    search = Evolution(rounds, updater, policy.trained(), settings, seed=4)
    lesson = search.learn(0, Optimiser(policy.trained(), OptimiserSettings(), 2))
    assert lesson.totals["grad_norm"][0] > 0


def test_each_round_and_each_pair_has_its_own_perturbation(policy: Policy, corpus: Corpus) -> None:
    search = evolution(policy, corpus)
    noises = [dict(search._noise(index, pair))[NAME] for index in (0, 1) for pair in (0, 1)]
    for place, one in enumerate(noises):
        assert float(one.std()) == pytest.approx(1.0, abs=0.15)
        assert all(not torch.equal(one, other) for other in noises[place + 1 :])


def test_what_earned_the_same_has_the_same_rank() -> None:
    found = _ranks(torch.tensor([[0.2, 0.9], [0.2, 0.5]]))
    # Two share the places 0 and 1 of 0..3.
    expected = [[0.5 / 3 - 0.5, 0.5], [0.5 / 3 - 0.5, 2 / 3 - 0.5]]
    assert found.tolist() == [pytest.approx(row) for row in expected]


def test_the_price_of_divergence_is_steered(policy: Policy, corpus: Corpus) -> None:
    search = evolution(policy, corpus, {"weight": 0.5, "target": 1.0}, num_pairs=1)
    search.learn(0, Catch(policy.trained(), OptimiserSettings(), 5))
    assert search.updater.anchor is not None
    assert search.updater.anchor.weight == pytest.approx(0.5 * 0.98)  # no divergence yet


def test_the_divergence_that_is_steered_by_is_that_of_a_token(
    policy: Policy, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = evolution(policy, corpus, {"weight": 0.5, "target": 1.0}, num_pairs=1)
    with torch.no_grad():
        policy.model.get_parameter(NAME).mul_(1.5)
    steered: list[float] = []
    monkeypatch.setattr(search.updater, "steer", steered.append)
    lesson = search.learn(0, Catch(policy.trained(), OptimiserSettings(), 5))
    total, count = lesson.totals["kl"]
    assert count > 1
    assert steered == [pytest.approx(total / count)]
    assert steered[0] > 0


def test_the_spread_of_what_the_sides_earned_is_told(policy: Policy, corpus: Corpus) -> None:
    search = evolution(policy, corpus, num_pairs=2, sigma=0.01)
    lesson = search.learn(0, Catch(policy.trained(), OptimiserSettings(), 5))
    moves = [float(dict(search._noise(0, pair))[NAME].flatten()[3]) for pair in range(2)]
    spread = 0.01 * math.hypot(*moves) / math.sqrt(2)
    assert lesson.totals["perturbed_spread"] == (pytest.approx(spread, rel=1e-3), 1.0)
    assert lesson.totals["grad_norm"] == (1.0, 1.0)


def test_shuffled_rewards_are_those_of_other_perturbations(policy: Policy, corpus: Corpus) -> None:
    plain, control = (evolution(policy, corpus, num_pairs=4) for _ in range(2))
    control.rounds.plan = replace(control.rounds.plan, control="shuffled")
    caught = []
    for each in (plain, control):
        optimiser = Catch(policy.trained(), OptimiserSettings(), 5)
        each.learn(0, optimiser)
        caught.append(optimiser.caught[NAME])
    assert not torch.equal(*caught)
    assert len(control) == 5


def test_a_direction_that_is_not_finite_ends_the_run(policy: Policy, corpus: Corpus) -> None:
    class Diverging(Optimiser):
        def step(self, update: int) -> float:
            return math.inf

    made = Diverging(policy.trained(), OptimiserSettings(), 5)
    with pytest.raises(NotFiniteError, match="the search direction is not finite"):
        evolution(policy, corpus, num_pairs=1).learn(0, made)
