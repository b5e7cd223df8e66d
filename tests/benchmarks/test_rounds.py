"""The two sides of a round do the same."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.arithmetic import forward_operations, sizes_of
from benchmarks.rounds import SETTINGS, make_sides, plain_update
from goa.decoding.settings import SampleSettings
from goa.evaluators.bleu import BleuSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from goa.policies.policy import Policy
from goa.records import Example
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.trainer.optimiser import Optimiser
from goa.trainer.update import Aim, UpdatePlan, Updater

EXAMPLES = [
    Example(id="1", source="the red bird sings", references=("a red bird sings at night",)),
    Example(id="2", source="a dog", references=("the old dog sleeps",)),
]
STRATEGY = SampleSettings(kind="sample", num_candidates=4, max_tokens=6)


def test_a_plain_update_has_the_gradient_that_the_updater_has(
    make_policy: Callable[..., Policy],
) -> None:
    ours, plain = make_policy(), make_policy()
    writer = CandidateWriter(ours, BleuSettings().build("bleu"), STRATEGY, RolloutNeeds())
    rollout = writer.write(EXAMPLES, seed=3)
    rewards = 0.01 * torch.rand(rollout.mask.shape[:2], generator=torch.Generator().manual_seed(1))
    assert rollout.rewards is not None
    rollout.rewards.copy_(rewards)
    aims = [Aim(objective=Reinforce(ReinforceSettings(kind="reinforce")))]
    optimiser = Optimiser(ours.trained(), SETTINGS, 1)
    Updater(ours, aims, UpdatePlan(seed=1)).update(rollout, optimiser, 0)
    sources = (rollout.sources.ids, rollout.sources.mask)
    plain_update(
        plain, sources, (rollout.tokens.flatten(0, 1), rollout.mask.flatten(0, 1)), rewards
    )
    # The first moment is a tenth of the gradient; so small rewards leave nothing to clip.
    for mine, other in zip(ours.trained().values(), plain.trained().values(), strict=True):
        assert other.grad is not None
        moment = optimiser.adam.state[mine]["exp_avg"]
        torch.testing.assert_close(moment, 0.1 * other.grad, rtol=1e-4, atol=1e-9)
        torch.testing.assert_close(mine, other, rtol=0, atol=2.1 * SETTINGS.learning_rate)


def test_all_sides_of_a_round_begin_with_the_same_weights(policy: Policy) -> None:
    before = {name: weight.detach().clone() for name, weight in policy.trained().items()}
    sides = make_sides(policy, EXAMPLES, STRATEGY)
    for side in [*sides.values()] * 2:
        side.prepare()
        for name, weight in policy.trained().items():
            torch.testing.assert_close(weight, before[name], rtol=0, atol=0)
            assert weight.grad is None
        run = side.work(1)
        assert 8 <= run["tokens"] <= 48
        assert run["operations"] > 0
        assert any((weight != before[name]).any() for name, weight in policy.trained().items())


def test_operations_are_those_that_torch_counts_but_for_tokens_that_come_later(
    policy: Policy,
) -> None:
    sizes, num_source, num_target = sizes_of(policy.model.config), 5, 4
    policy.model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        policy.model(
            input_ids=torch.full((1, num_source), 4),
            decoder_input_ids=torch.full((1, num_target), 4),
            use_cache=False,
        )
    later = sizes.layers[1] * sizes.width * 2 * num_target * (num_target - 1)
    found = forward_operations(sizes, [num_source], [[num_target]])
    assert counter.get_total_flops() == found + later
