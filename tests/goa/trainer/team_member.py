"""One process of a team, for the tests: trains, and says what it ended with.

``python -m tests.goa.trainer.team_member WHAT SIZE OUT [fsdp] [cuda | away]``
"""

import json
import shutil
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from goa.checkpoints import Checkpoints
from goa.data.corpus import Corpus
from goa.evaluation.bootstrap import Bootstrap
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.policies.adapter import add_adapter
from goa.policies.build import build_model
from goa.policies.compute import set_up
from goa.policies.encoder_decoder import EncoderDecoder
from goa.policies.settings import ComputeSettings, ScratchPolicySettings
from goa.policies.sharding import gathered, own_part
from goa.policies.tokenizer import train_tokenizer
from goa.records import Example
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.rollouts.pooled import PoolStart
from goa.rollouts.references import ReferencePlan, ReferenceRounds
from goa.trainer import validation
from goa.trainer.anchor import Anchor
from goa.trainer.contract import Phase, TrainingState, Validation
from goa.trainer.finetuning import FinetuneSettings
from goa.trainer.guards import Guards
from goa.trainer.loop import Trainer
from goa.trainer.phases import Materials, make_phases
from goa.trainer.settings import OptimiserSettings, ValidationSettings
from goa.trainer.team import Team, join_team
from goa.trainer.update import Aim, RolloutLearner, UpdatePlan, Updater
from goa.trainer.validation import LikelihoodValidation
from tests.conftest import SENTENCES, write_corpus
from tests.goa.trainer.conftest import Long
from tests.goa.trainer.test_loop import Ear

EXAMPLES = [
    Example(id=f"train-{row}", source=SENTENCES[row % 5], references=(SENTENCES[(row + 2) % 5],))
    for row in range(12)
]
OPTIMISER = {"learning_rate": 3e-3, "tokens_per_pass": 24}
REINFORCE = {"kind": "reinforce", "baseline": "leave_one_out"}
FINETUNING: dict[str, dict[str, Any]] = {
    "ppo": {"objective": {"kind": "ppo"}, "divergence": {"weight": 0.1, "target": 0.1}},
    "mrt": {"objective": {"kind": "mrt", "alpha": 0.5}, "likelihood_weight": 0.2},
    "adapter": {"objective": {"kind": "grpo"}, "adapter": {"rank": 2}},
    "evolution": {"objective": {"kind": "evolution", "num_pairs": 2}},
    "self_critical": {"objective": {"kind": "reinforce", "baseline": "greedy"}},
    "reward_to_go": {"objective": REINFORCE, "credit": {"kind": "reward_to_go"}},
    "attention": {"objective": REINFORCE, "credit": {"kind": "attention"}},
    "mixer": {"objective": {"kind": "mixer"}, "entropy_weight": 0.1},
    "margin": {"objective": {"kind": "margin"}, "with_reference": True},
    "raml": {"objective": {"kind": "raml"}},
    "best_of_n": {"objective": {"kind": "best_of_n"}, "noise": {}},
    "dpo": {"objective": {"kind": "dpo"}},
    "perturbation": {"objective": REINFORCE, "perturbation": {}},
    "resampling": {"objective": REINFORCE, "silent_sources": "resample"},
}
SOURCES_PER_ROUND = 5
"""So that two processes have different numbers of sources, and of passes."""


def make_policy(device: torch.device) -> EncoderDecoder:
    settings = ScratchPolicySettings(
        kind="scratch", vocab_size=60, d_model=16, num_layers=1, num_heads=2, d_ff=32,
        dropout=0.0, max_positions=32,
    )  # fmt: skip
    tokenizer = train_tokenizer(iter(SENTENCES), settings)
    model = build_model(
        settings, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, seed=3
    )
    # Double precision: Adam makes whole steps of the rounding of gradients that are really 0, such
    # as those of the biases of attention keys.
    return EncoderDecoder(model.double().eval().to(device), tokenizer)


def likelihood(policy: EncoderDecoder, corpus: Corpus, team: Team, *, fsdp: bool) -> Trainer:
    if fsdp:
        policy.shard(policy.device, team.size)
    plan = ReferencePlan(sources_per_round=SOURCES_PER_ROUND, epochs=2, seed=1)
    rounds = ReferenceRounds(policy, corpus, plan, team.share)
    aim = Aim(objective=Likelihood(LikelihoodSettings(kind="likelihood")))
    updater = Updater(policy, [aim], UpdatePlan(seed=1), team=team)
    phase = Phase(
        learner=RolloutLearner(rounds, updater),
        validate=LikelihoodValidation(policy, corpus, None, team),
        optimiser=OptimiserSettings(**OPTIMISER),  # type: ignore[arg-type]
        validation=ValidationSettings(every=1),
    )
    return Trainer(policy, [lambda: rising(phase)], team=team)


def finetuning(
    what: str, policy: EncoderDecoder, corpus: Corpus, team: Team, *, fsdp: bool
) -> Trainer:
    settings = FinetuneSettings.model_validate(
        {
            "rounds": 3,
            "sources_per_round": SOURCES_PER_ROUND,
            "candidates": {"kind": "sample", "num_candidates": 3, "max_tokens": 6},
            "optimiser": OPTIMISER,
            "validation": {"every": 1},
            **FINETUNING[what],
        }
    )
    if what == "mrt":
        # The stand-in for a GPU does not survive the exceptions that end a recomputation.
        checkpointing = policy.device.type != "away"
        set_up(policy, ComputeSettings(gradient_checkpointing=checkpointing), dropout=False)
    if settings.adapter is not None:
        add_adapter(policy, settings.adapter, seed=1)
    anchor = Anchor(policy, settings.divergence)
    writer = CandidateWriter(
        policy, Long(), settings.candidates, RolloutNeeds(greedy="greedy" in settings.needs)
    )
    first = EXAMPLES[:SOURCES_PER_ROUND]
    pool = PoolStart(rollout=writer.write(first, 9), examples=tuple(first), spreads={})
    if fsdp:
        policy.shard(policy.device, team.size)
        if settings.adapter is None:
            anchor.shard(policy.device, team.size)
    materials = Materials(
        policy=policy,
        anchor=anchor,
        evaluator=Long(),
        train=corpus,
        validation=corpus,
        pool=pool,
        seed=1,
        team=team,
    )
    phases = [lambda make=make: rising(make()) for make in make_phases(settings, materials)]
    # Nothing is as significant as that: they measure, and hold nothing back.
    guards = Guards([Long()], EXAMPLES, Bootstrap(seed=1, resamples=99), 1e-6)
    return Trainer(policy, phases, anchor, team, guards)


def rising(phase: Phase) -> Phase:
    """Take every look for better than the one before, so that the last policy is the one kept."""

    def validate() -> Validation:
        return replace(phase.validate(), score=time.monotonic())

    return replace(phase, validate=validate, collapse=None)


def main() -> None:
    what, size, out, fsdp = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), "fsdp" in sys.argv
    if "away" in sys.argv:
        import_module("tests.away")
    device = torch.device(next((name for name in ("cuda", "away") if name in sys.argv), "cpu"))
    torch.set_num_threads(2)
    team = join_team(device, size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    validation.SOURCES_PER_BATCH = 5  # of 12: the second process has the one in the middle
    folder = out.with_suffix("")
    folder.mkdir()
    corpus = write_corpus(folder / "train.arrow", EXAMPLES)

    def make() -> Trainer:
        if what == "likelihood":
            return likelihood(make_policy(device), corpus, team, fsdp=fsdp)
        return finetuning(what, make_policy(device), corpus, team, fsdp=fsdp)

    trainer = make()
    start = flat(trainer)
    state, saved = run(trainer, folder)
    told = {
        "weights": flat(trainer),
        "start": start,
        "rows": state.rows,
        "outputs": [state.first_outputs, state.last_outputs],
        "saved": saved,
        "threads": threads,
    }
    if fsdp:
        told["largest_share"] = max(
            own_part(weight).numel() / weight.numel() for weight in trainer.parameters.values()
        )
        told["resumed"] = resumed(make(), out)
    out.write_text(json.dumps(told))


def resumed(trainer: Trainer, out: Path) -> list[float]:
    """Train again, from the last checkpoint but one of the first process."""
    trainer.team.wait()
    folder = out.with_name(out.name.replace("-1.json", "-0.json")).with_suffix("")
    if trainer.team.is_first:
        shutil.rmtree(max((folder / "checkpoints").glob("[0-9]*")))
    trainer.team.wait()
    run(trainer, folder)
    return flat(trainer)


def run(trainer: Trainer, folder: Path) -> tuple[TrainingState, bool]:
    """Train under the checkpoints in a folder; say, too, whether there are any in the end."""
    with Checkpoints(folder / "checkpoints", writes=trainer.team.is_first) as checkpoints:
        return trainer.run(checkpoints, Ear()), checkpoints.newest_step() > 0


def flat(trainer: Trainer) -> list[float]:
    weights = [gathered(weight) for weight in trainer.parameters.values()]
    return torch.cat([weight.detach().flatten() for weight in weights]).tolist()


if __name__ == "__main__":
    main()
