"""A whole round of GRPO on a decoder-only model: goa against TRL's GRPOTrainer.

    python benchmarks/grpo.py DATA [--prompts 32] [--candidates 8] [--tokens 24]

DATA is a project's out/data, or a file of lines: the first are the prompts, and all make the
tokenizer. The model is of Llama's shape, from scratch. A round draws the candidates of every
prompt, scores them by a cheap function of the text, and takes one step of AdamW on GRPO's objective
without a reference model, in float32 on the CPU. Both have equal weights at first, the same prompts
in every round, learning rate, momenta and clipping, and take turns round by round: goa's round
comes between two steps of TRL's trainer, outside of what is timed there. The end token's row of the
embedding, which is the head's, too, is 0 at first, so that it is about as likely as any other
token: nearly all candidates have the full length.

TRL is set so that one step is one call of generate, one way forward and back over all candidates,
and one step of the optimiser (per_device_train_batch_size: prompts times candidates; num_iterations
1, so that no other log-probabilities are computed), with beta 0 (no reference model), loss_type
grpo, no gradient checkpointing, no bfloat16, its default optimiser (fused AdamW), no logging,
saving, reports or progress bars, no data workers. What its trainer does besides, such as measuring
entropy, is timed; loading the batch is not. goa measures no divergence in "goa", as TRL does not
with beta 0; in "goa, anchored" it does, as `goa finetune` always does: one more way forward.
"""

import argparse
import copy
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.harness import (
    Run,
    Runs,
    arguments,
    clock,
    median,
    read_examples,
    table,
    timed,
    write_json,
)
from benchmarks.llama import SpreadOfLetters, llama_settings, make_llama, spread_of_letters
from goa.decoding.settings import SampleSettings
from goa.objectives.grpo import Grpo, GrpoSettings
from goa.policies.decoder_only import DecoderOnly
from goa.records import Example
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.trainer.anchor import Anchor
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import DivergenceSettings, OptimiserSettings
from goa.trainer.update import Aim, UpdatePlan, Updater

SETTINGS = OptimiserSettings(learning_rate=1e-5)
TRL = "TRL"


def main() -> None:
    """Print the table."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    examples = read_examples(given.data)
    settings = llama_settings(given.vocab, given.width, given.layers, given.heads)
    policy = make_llama(settings, examples)
    prompts = examples[: given.prompts]
    ours = {
        name: _goa(policy, prompts, given, anchored=anchored)
        for name, anchored in (("goa", False), ("goa, anchored", True))
    }
    runs = _take_turns(policy, prompts, given, ours)
    _show(runs)
    write_json(given.json, given, {"runs": runs})


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("data", type=Path, nargs="+", help="files after the first are not read")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--vocab", type=int, default=8000)
    return parser.parse_args()


def _goa(
    policy: DecoderOnly, prompts: Sequence[Example], given: argparse.Namespace, *, anchored: bool
) -> Callable[[int], Run]:
    """Give a round of a copy of the policy."""
    own = DecoderOnly(copy.deepcopy(policy.model), policy.tokenizer, policy.prompt)
    strategy = SampleSettings(
        kind="sample", num_candidates=given.candidates, max_tokens=given.tokens
    )
    writer = CandidateWriter(own, SpreadOfLetters(), strategy, RolloutNeeds())
    anchor = Anchor(own, DivergenceSettings()) if anchored else None
    aims = [Aim(objective=Grpo(GrpoSettings(kind="grpo")))]
    updater = Updater(own, aims, UpdatePlan(seed=1), anchor)
    optimiser = Optimiser(own.trained(), SETTINGS, 1 + given.repeats)

    def work(seed: int) -> Run:
        rollout = writer.write(prompts, seed)
        totals = updater.update(rollout, optimiser, seed)
        assert rollout.rewards is not None
        return {
            "tokens": float(rollout.mask.sum()),
            "reward": float(rollout.rewards.mean()),
            "grad_norm": totals["grad_norm"][0],
        }

    return work


class _Turns(TrainerCallback):  # type: ignore[misc]
    """Times TRL's steps, and lets the others have their turn after each."""

    def __init__(self, others: dict[str, Callable[[int], Run]], noted: Run) -> None:
        self.runs: Runs = {name: [] for name in (*others, TRL)}
        self._others = others
        self._noted = noted
        self._start = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._start = clock("cpu")

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seed = state.global_step - 1
        runs = {TRL: {"seconds": clock("cpu") - self._start, **self._noted}}
        runs |= {name: timed(work, seed) for name, work in self._others.items()}
        for name, run in runs.items() if seed > 0 else ():  # the first is not counted
            self.runs[name].append(run)


def _take_turns(
    policy: DecoderOnly,
    prompts: Sequence[Example],
    given: argparse.Namespace,
    others: dict[str, Callable[[int], Run]],
) -> Runs:
    """Run TRL's trainer, and the others between its steps."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    noted: Run = {}

    def rewards(completions: Any, completion_ids: Any, **_: Any) -> list[float]:
        found = [spread_of_letters(text) for text in completions]
        noted["tokens"] = float(sum(map(len, completion_ids)))
        noted["reward"] = sum(found) / len(found)
        return found

    turns = _Turns(others, noted)
    sources = [prompt.source for prompt in prompts] * (1 + given.repeats)
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=policy.model,
            reward_funcs=rewards,
            args=GRPOConfig(output_dir=folder, **_trl_settings(given)),
            train_dataset=Dataset.from_dict({"prompt": sources}),
            processing_class=policy.tokenizer,
            callbacks=[turns],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return turns.runs


def _trl_settings(given: argparse.Namespace) -> dict[str, Any]:
    return {
        "max_steps": 1 + given.repeats,
        "per_device_train_batch_size": given.prompts * given.candidates,
        "num_generations": given.candidates,
        "max_completion_length": given.tokens,
        "shuffle_dataset": False,
        "beta": 0.0,
        "loss_type": "grpo",
        "learning_rate": SETTINGS.learning_rate,
        "lr_scheduler_type": "constant",
        "adam_beta1": SETTINGS.betas[0],
        "adam_beta2": SETTINGS.betas[1],
        "weight_decay": SETTINGS.weight_decay,
        "max_grad_norm": SETTINGS.max_grad_norm,
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "report_to": "none",
        "logging_strategy": "no",
        "save_strategy": "no",
        "disable_tqdm": True,
    }


def _show(runs: Runs) -> None:
    seconds = {name: median(found, "seconds") for name, found in runs.items()}
    rows = [
        [
            name,
            f"{seconds[name]:.2f}",
            f"{seconds[name] / seconds['goa']:.2f}",
            f"{median(found, 'tokens'):.0f}",
            f"{median(found, 'reward'):.3f}",
        ]
        for name, found in runs.items()
    ]
    print(table(["who", "s/round", "over goa", "tokens", "mean reward"], rows))


if __name__ == "__main__":
    main()
