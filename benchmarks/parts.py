"""Parts of a round, each with the techniques that it is done with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from unittest.mock import patch

from benchmarks import switches
from benchmarks.decode import Rows, Strategy, goa_writer
from benchmarks.harness import nothing
from benchmarks.llama import SpreadOfLetters
from benchmarks.rounds import restoring
from benchmarks.switches import Switch
from goa.decoding.constraints import length_limits
from goa.decoding.settings import BeamSettings, SampleSettings
from goa.evaluators.bleu import BleuSettings
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from goa.policies.policy import Policy
from goa.records import Example
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.rollouts.rollout import Rollout
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import OptimiserSettings
from goa.trainer.update import Aim, UpdatePlan, Updater

SETTINGS = OptimiserSettings(learning_rate=1e-4)
SHORT_PASSES = 2048
"""Target tokens of a pass, where sources alike in length are to be together."""
NUM_BATCHES = 8
"""Of sources, where those alike in length are to be together."""
COLD = 0.5
"""The temperature at which candidates are drawn of which some are alike."""


class Step(NamedTuple):
    """What an update took."""

    loss: float
    norm: float
    """Of the gradient."""


Outcome = Rows | Step
"""What comes of a part's work: the tokens of each candidate, or a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Technique:
    """One of those that a part is done with, or could be."""

    name: str
    switch: Switch
    """Goes over to how it is done otherwise."""
    is_on: bool = True
    """Whether goa does it unless told otherwise; else the switch brings it in."""
    same: bool = True
    """Whether the outcome is the same with it and without it, up to rounding."""
    memory: bool = False
    """Whether it is about memory, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a round."""

    work: Callable[[int], Outcome]
    """Does it once, by a seed."""
    techniques: Sequence[Technique]
    restore: Callable[[], None] = nothing
    """Puts back what the work changes."""
    note: str = ""
    """What else is to be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What parts are done with."""

    policy: Policy
    """With an encoder."""
    make_llama: Callable[[], Policy]
    """Gives a decoder-only policy; the same at every call."""
    examples: Sequence[Example]
    candidates: int
    max_tokens: int
    llama_tokens: int
    """The most that the decoder-only policy writes."""
    beam: int

    def sampling(self, max_tokens: int, temperature: float = 1.0) -> SampleSettings:
        """Draw as many candidates as there are to be."""
        return SampleSettings(
            kind="sample",
            num_candidates=self.candidates,
            max_tokens=max_tokens,
            temperature=temperature,
        )


def draw(world: World) -> Part:
    """Draw candidates."""
    techniques = [
        Technique(
            name="steps from the weights, sources shared",
            switch=switches.steps_by_transformers,
            memory=True,
        ),
        Technique(name="ended rows leave the batch", switch=switches.ended_rows_stay),
        Technique(name="first tokens' cache token by token", switch=switches.cache_by_candidate),
        Technique(name="draws block by block", switch=switches.draws_in_one_go),
        Technique(
            name="draws block by block, against torch.multinomial",
            switch=switches.draws_by_torch,
            same=False,
        ),
        _bfloat16(world.policy),
        *_cuda_graphs(world.policy),
    ]
    return _writing(world.policy, world, world.sampling(world.max_tokens), techniques)


def draw_in_batches(world: World) -> Part:
    """Draw candidates of some sources at a time."""
    policy, strategy = world.policy, world.sampling(world.max_tokens)
    sources = policy.tokenize_sources([example.source for example in world.examples])
    needs = world.candidates * length_limits(policy, sources, strategy) + sources.mask.sum(dim=1)
    room = int(needs.max()) * -(-len(needs) // NUM_BATCHES)
    techniques = [
        Technique(name="sources alike in length together", switch=switches.batches_as_given)
    ]
    part = _writing(policy, world, strategy, techniques)

    def work(seed: int) -> Outcome:
        with patch.object(policy, "tokens_at_once", room):
            return part.work(seed)

    return replace(part, work=work)


def search(world: World) -> Part:
    """Write the best of a beam."""
    techniques = [
        Technique(
            name="steps from the weights, sources shared", switch=switches.steps_by_transformers
        ),
        Technique(name="rows that stay are not moved", switch=switches.rows_always_move),
    ]
    strategy = BeamSettings(
        kind="beam", num_beams=world.beam, num_candidates=1, max_tokens=world.max_tokens
    )
    return _writing(world.policy, world, strategy, techniques)


def draw_llama(world: World) -> Part:
    """Draw candidates of prompts."""
    techniques = [
        Technique(
            name="steps from the weights, prompts shared",
            switch=switches.prompts_for_each,
            memory=True,
        ),
        *_cuda_graphs(world.make_llama()),
    ]
    strategy = world.sampling(world.llama_tokens)
    return _writing(world.make_llama(), world, strategy, techniques)


def update(world: World) -> Part:
    """Take a step on a rollout."""
    techniques = [
        Technique(
            name="a source computed once, tokens that count alone",
            switch=switches.passes_by_transformers,
            memory=True,
        ),
        Technique(
            name="distributions a few rows at a time",
            switch=switches.distributions_at_once,
            memory=True,
        ),
        _bfloat16(world.policy),
    ]
    rollout = _rollout(world.policy, world, world.sampling(world.max_tokens))
    return _updating(world.policy, rollout, SETTINGS, techniques)


def update_on_doubles(world: World) -> Part:
    """Take a step on a rollout that says some things twice."""
    rollout = _rollout(world.policy, world, world.sampling(world.max_tokens, COLD))
    doubles = 1.0 - float(rollout.distinct_mask.float().mean())
    techniques = [
        Technique(name="candidates alike computed once", switch=switches.alike_are_others)
    ]
    note = f"{100 * doubles:.0f} % of its candidates say what an earlier one of the source says"
    return replace(_updating(world.policy, rollout, SETTINGS, techniques), note=note)


def update_in_passes(world: World) -> Part:
    """Take a step on a rollout, a part of it at a time."""
    techniques = [
        Technique(name="sources alike in length together", switch=switches.passes_as_given)
    ]
    rollout = _rollout(world.policy, world, world.sampling(world.max_tokens))
    settings = SETTINGS.model_copy(update={"tokens_per_pass": SHORT_PASSES})
    return _updating(world.policy, rollout, settings, techniques)


def update_llama(world: World) -> Part:
    """Take a step on a rollout of prompts."""
    techniques = [
        Technique(
            name="a prompt read once for its candidates",
            switch=switches.prompts_for_each,
            memory=True,
        )
    ]
    policy = world.make_llama()
    rollout = _rollout(policy, world, world.sampling(world.llama_tokens))
    return _updating(policy, rollout, SETTINGS, techniques)


def _bfloat16(policy: Policy) -> Technique:
    return Technique(
        name="bfloat16, which is not the default",
        switch=switches.in_bfloat16(policy),
        is_on=False,
        same=False,
    )


def _cuda_graphs(policy: Policy) -> list[Technique]:
    if policy.device.type != "cuda":
        return []
    name = "steps recorded as CUDA graphs, which is not the default"
    return [Technique(name=name, switch=switches.recorded(policy), is_on=False)]


def _writing(
    policy: Policy, world: World, strategy: Strategy, techniques: Sequence[Technique]
) -> Part:
    texts = [example.source for example in world.examples]
    return Part(work=goa_writer(policy, texts, strategy), techniques=techniques)


def _rollout(policy: Policy, world: World, strategy: SampleSettings) -> Rollout:
    """Draw and score; what a policy with random weights writes is scored by its letters."""
    scratch = not policy.model.config.is_encoder_decoder
    evaluator = SpreadOfLetters() if scratch else BleuSettings().build("bleu")
    return CandidateWriter(policy, evaluator, strategy, RolloutNeeds()).write(world.examples, 1)


def _updating(
    policy: Policy,
    rollout: Rollout,
    settings: OptimiserSettings,
    techniques: Sequence[Technique],
) -> Part:
    aims = [Aim(objective=Reinforce(ReinforceSettings(kind="reinforce")))]
    updater = Updater(policy, aims, UpdatePlan(seed=1))

    def work(_: int) -> Outcome:
        totals = updater.update(rollout, Optimiser(policy.trained(), settings, 1), 0)
        return Step(loss=totals["loss"][0], norm=totals["grad_norm"][0])

    return Part(work=work, restore=restoring(policy), techniques=techniques)


PARTS: dict[str, Callable[[World], Part]] = {
    "draw": draw,
    f"draw, {NUM_BATCHES} batches": draw_in_batches,
    "beam": search,
    "update": update,
    f"update, temperature {COLD}": update_on_doubles,
    f"update, {SHORT_PASSES} tokens a pass": update_in_passes,
    "Llama, draw": draw_llama,
    "Llama, update": update_llama,
}
"""By name, in order."""
