"""Target tokens learnt from a second by likelihood: goa against transformers' Seq2SeqTrainer.

    python benchmarks/pretraining.py DATA [REFERENCES] [--updates 32] [--sources 64]

DATA is a project's out/data, or a file of sources and one of REFERENCES: the first pairs are learnt
from, and all make the tokenizer. A repeat is one pass over as many pairs as --updates batches of
--sources hold, from the same weights and without moments; so both sides learn from the same target
tokens, as many an update on average, and padding is not counted. The model is of Marian's shape,
from scratch, with dropout and label smoothing of 0.1 each, in float32 on the CPU. Sides take turns.

- goa: as `goa pretrain` puts it together: ReferenceRounds (pairs of similar length together, within
  32 updates), Updater, Optimiser. Texts are tokenized as they come up, within the time.
- transformers: Seq2SeqTrainer with DataCollatorForSeq2Seq, which pads to the longest of the batch,
  in random order; and with train_sampling_strategy "group_by_length" besides. Texts are tokenized
  before the clock starts, which begins with the first step; the trainer's default optimiser (fused
  AdamW), no logging, saving, evaluation, reports or data workers.
"""

import argparse
import copy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    DataCollatorForSeq2Seq,
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
)

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.harness import (
    Run,
    Runs,
    Side,
    arguments,
    clock,
    median,
    read_examples,
    table,
    take_turns,
    write_json,
)
from goa.data.corpus import Corpus, CorpusWriter
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.policies.build import build_model
from goa.policies.encoder_decoder import EncoderDecoder
from goa.policies.settings import ScratchPolicySettings
from goa.policies.tokenizer import train_tokenizer
from goa.records import Example
from goa.rollouts.references import ReferencePlan, ReferenceRounds
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import OptimiserSettings
from goa.trainer.update import Aim, RolloutLearner, UpdatePlan, Updater

SETTINGS = OptimiserSettings(learning_rate=1e-3)
SMOOTHING = 0.1


def main() -> None:
    """Print the table."""
    given = _arguments()
    torch.set_num_threads(given.threads)
    examples = read_examples(given.data)
    policy = _policy(given, examples)
    pairs = examples[: given.updates * given.sources]
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "goa": _goa(policy, _corpus(pairs, Path(folder)), given),
            "transformers": _transformers(policy, pairs, given, Path(folder), "random"),
            "transformers, group_by_length": _transformers(
                policy, pairs, given, Path(folder), "group_by_length"
            ),
        }
        runs = take_turns(sides, given.repeats)
    _show(runs)
    write_json(given.json, given, {"runs": runs})


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--updates", type=int, default=32)
    parser.add_argument("--sources", type=int, default=64, help="pairs an update")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=8000)
    return parser.parse_args()


def _policy(given: argparse.Namespace, examples: Sequence[Example]) -> EncoderDecoder:
    """Build the model; its vocabulary is as large as told, even if the texts make no such one."""
    settings = ScratchPolicySettings(
        kind="scratch",
        vocab_size=given.vocab,
        d_model=given.width,
        num_layers=given.layers,
        d_ff=4 * given.width,
        dropout=0.1,
    )
    texts = (text for example in examples for text in (example.source, *example.references))
    tokenizer = train_tokenizer(texts, settings)
    model = build_model(
        settings, given.vocab, tokenizer.pad_token_id, tokenizer.eos_token_id, seed=1
    )
    return EncoderDecoder(model, tokenizer)


def _corpus(pairs: Sequence[Example], folder: Path) -> Corpus:
    with CorpusWriter(folder / "train.arrow") as writer:
        for pair in pairs:
            writer.add(pair)
    return Corpus.open(folder / "train.arrow")


def _show(runs: Runs) -> None:
    speed = {name: median(found, "tokens", per="seconds") for name, found in runs.items()}
    rows = [
        [
            name,
            f"{median(found, 'seconds'):.2f}",
            f"{median(found, 'tokens'):.0f}",
            f"{median(found, 'updates'):.0f}",
            f"{speed[name]:.0f}",
            f"{speed['goa'] / speed[name]:.2f}",
        ]
        for name, found in runs.items()
    ]
    header = ["who", "seconds", "target tokens", "updates", "tokens/s", "goa against it"]
    print(table(header, rows))


def _goa(policy: EncoderDecoder, corpus: Corpus, given: argparse.Namespace) -> Side:
    made: list[RolloutLearner] = []

    def prepare() -> None:
        own = EncoderDecoder(copy.deepcopy(policy.model), policy.tokenizer)
        plan = ReferencePlan(sources_per_round=given.sources, epochs=1, seed=1)
        settings = LikelihoodSettings(kind="likelihood", label_smoothing=SMOOTHING)
        aims = [Aim(objective=Likelihood(settings))]
        updater = Updater(own, aims, UpdatePlan(seed=1, dropout=True))
        made[:] = [RolloutLearner(ReferenceRounds(own, corpus, plan), updater)]

    def work(seed: int) -> Run:
        del seed
        (learner,) = made
        trained = learner.updater.policy.trained()
        optimiser = Optimiser(trained, SETTINGS, len(learner))
        told = [learner.learn(index, optimiser) for index in range(len(learner))]
        return {"tokens": sum(totals["nll"][1] for totals in told), "updates": len(told)}

    return Side(work=work, prepare=prepare)


class _FirstStep(TrainerCallback):  # type: ignore[misc]
    """Notes when the first step begins."""

    def __init__(self) -> None:
        self.start: float | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.start is None:
            self.start = clock("cpu")


class _CountingCollator(DataCollatorForSeq2Seq):  # type: ignore[misc]
    """Counts the target tokens of the batches that it lays out."""

    num_tokens = 0

    def __call__(self, features: Any, return_tensors: Any = None) -> Any:
        self.num_tokens += sum(len(feature["labels"]) for feature in features)
        return super().__call__(features, return_tensors)


def _transformers(
    policy: EncoderDecoder,
    pairs: Sequence[Example],
    given: argparse.Namespace,
    folder: Path,
    order: str,
) -> Side:
    from datasets import Dataset

    data = Dataset.from_dict(
        {
            "input_ids": policy.source_ids([pair.source for pair in pairs]),
            "labels": policy.target_ids([pair.references[0] for pair in pairs]),
        }
    )
    settings = _settings(given, folder, order)
    made: list[tuple[Seq2SeqTrainer, _FirstStep]] = []

    def prepare() -> None:
        model, first = copy.deepcopy(policy.model), _FirstStep()
        trainer = Seq2SeqTrainer(
            model=model,
            args=Seq2SeqTrainingArguments(**settings),
            train_dataset=data,
            data_collator=_CountingCollator(policy.tokenizer, model=model),
            callbacks=[first],
        )
        trainer.remove_callback(PrinterCallback)
        made[:] = [(trainer, first)]

    def work(seed: int) -> Run:
        del seed
        ((trainer, first),) = made
        trainer.train()
        assert first.start is not None
        return {
            "seconds": clock("cpu") - first.start,
            "tokens": trainer.data_collator.num_tokens,
            "updates": trainer.state.global_step,
        }

    return Side(work=work, prepare=prepare)


def _settings(given: argparse.Namespace, folder: Path, order: str) -> Mapping[str, Any]:
    return {
        "output_dir": str(folder),
        "num_train_epochs": 1,
        "per_device_train_batch_size": given.sources,
        "train_sampling_strategy": order,
        "label_smoothing_factor": SMOOTHING,
        "learning_rate": SETTINGS.learning_rate,
        "lr_scheduler_type": "constant",
        "adam_beta1": SETTINGS.betas[0],
        "adam_beta2": SETTINGS.betas[1],
        "weight_decay": SETTINGS.weight_decay,
        "max_grad_norm": SETTINGS.max_grad_norm,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "report_to": "none",
        "logging_strategy": "no",
        "save_strategy": "no",
        "disable_tqdm": True,
    }


if __name__ == "__main__":
    main()
