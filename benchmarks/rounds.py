"""A whole round of fine-tuning, goa's parts against the plain way: draw, score, update.

    python benchmarks/rounds.py POLICY DATA [REFERENCES] [--sources 64] [--candidates 8]

POLICY is a policy's folder, of Marian's or BART's kind; DATA a project's out/data, or a file of
sources and one of REFERENCES. A round draws candidates of each source, scores them by BLEU, and
takes one step of AdamW on REINFORCE with the leave-one-out baseline, in float32.

- goa: CandidateWriter, Updater and Optimiser, as `goa finetune` puts them together, with the
  default tokens_per_pass.
- goa, anchored: besides, the divergence from the pretrained policy is measured, as it always is in
  `goa finetune`: one more way forward. The plain way does without.
- plain: transformers' generate with num_return_sequences, a loop over sacrebleu's sentence score,
  one way forward over sources repeated for each candidate, log_softmax, clipping, AdamW.

Each begins every repeat with the same weights and no moments; what restores them is not timed, and
the draws are others each time. A first round is not counted. Ratios are of medians. Memory is the
peak of a first round, what it is made with included, beyond what was in use once the policy was
there, each in a process of its own. Arithmetic is what the round needs at least
(benchmarks/arithmetic.py) over the time of drawing and updating, as a share of the rate of a large
matrix product, which takes its turns, too.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sacrebleu.metrics import BLEU
from torch import Tensor
from transformers import GenerationConfig

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.arithmetic import product_side, round_operations, sizes_of
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
from benchmarks.memory import in_own_process, peak_mib
from goa.decoding.settings import SampleSettings
from goa.evaluators.bleu import BleuSettings
from goa.evaluators.contract import Evaluator
from goa.objectives.reinforce import Reinforce, ReinforceSettings
from goa.policies.policy import Policy
from goa.policies.storage import load_policy
from goa.records import Example, Sample, Scores
from goa.rollouts.candidates import CandidateWriter, RolloutNeeds
from goa.trainer.anchor import Anchor
from goa.trainer.optimiser import Optimiser
from goa.trainer.settings import DivergenceSettings, OptimiserSettings
from goa.trainer.update import Aim, UpdatePlan, Updater
from pipelines.stage import silence_foreign_bars

PRODUCT = "matrix product"
SETTINGS = OptimiserSettings(learning_rate=1e-4)
Work = Callable[[int], Run]
"""Does a round once, by a seed."""


def main() -> None:
    """Print the table; or, asked by itself, what one side takes in memory."""
    given = _arguments()
    silence_foreign_bars()
    torch.set_num_threads(given.threads)
    policy = load_policy(given.policy, torch.device(given.device))
    examples = read_examples(given.data, given.num_sources)
    strategy = SampleSettings(
        kind="sample", num_candidates=given.candidates, max_tokens=given.max_tokens
    )
    if given.memory_of:
        make = SIDES[given.memory_of]
        print(peak_mib(lambda: make(policy, examples, strategy)(0), given.device))
        return
    sides = make_sides(policy, examples, strategy)
    runs = take_turns({**sides, PRODUCT: product_side(given.device)}, given.repeats, given.device)
    memory = {name: float(in_own_process("--memory-of", name)) for name in sides}
    rate = median(runs.pop(PRODUCT), "operations", per="seconds")
    _show(runs, memory, rate)
    print(f"\nA matrix product: {rate / 1e9:.0f} billion operations a second.")
    write_json(given.json, given, {"runs": runs, "mib": memory, "operations_per_second": rate})


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__, device=True)
    parser.add_argument("policy", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--sources", dest="num_sources", type=int, default=64)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args()


def _show(runs: Runs, memory: Mapping[str, float], rate: float) -> None:
    parts = ["seconds", "draw", "score", "update"]
    rows = []
    for name, found in runs.items():
        share = [
            {"share": run["operations"] / (run["draw"] + run["update"]) / rate} for run in found
        ]
        rows.append(
            [
                name,
                *(f"{median(found, part):.2f}" for part in parts),
                f"{median(found, 'seconds') / median(runs['goa'], 'seconds'):.2f}",
                f"{memory[name]:.0f}",
                f"{100 * median(share, 'share'):.0f} %",
                f"{median(found, 'tokens'):.0f}",
                f"{median(found, 'reward'):.3f}",
            ]
        )
    rest = ["over goa", "memory, MiB", "arithmetic", "tokens", "mean reward"]
    print(table(["who", "round, s", *(f"{part}, s" for part in parts[1:]), *rest], rows))


def make_sides(
    policy: Policy, examples: Sequence[Example], strategy: SampleSettings
) -> dict[str, Side]:
    """Make all sides, which share the policy, and begin with the weights that it has now."""
    restore = restoring(policy)
    return {
        name: Side(work=make(policy, examples, strategy), prepare=restore)
        for name, make in SIDES.items()
    }


def restoring(policy: Policy) -> Callable[[], None]:
    """Give what puts the weights back to what they are now, without gradients."""
    kept = {name: weight.detach().clone() for name, weight in policy.trained().items()}

    @torch.no_grad()
    def restore() -> None:
        for name, weight in policy.trained().items():
            weight.copy_(kept[name])
            weight.grad = None

    return restore


class TimedEvaluator(Evaluator):
    """Another evaluator, and the seconds that it has taken."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.name, self.signature = evaluator.name, evaluator.signature
        self.seconds = 0.0
        self._evaluator = evaluator

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score samples."""
        start = clock("cpu")
        scores = self._evaluator.score(samples)
        self.seconds += clock("cpu") - start
        return scores


def goa_round(
    policy: Policy, examples: Sequence[Example], strategy: SampleSettings, *, anchored: bool
) -> Work:
    """Do a round by goa's own parts."""
    evaluator = TimedEvaluator(BleuSettings().build("bleu"))
    writer = CandidateWriter(policy, evaluator, strategy, RolloutNeeds())
    aims = [Aim(objective=Reinforce(ReinforceSettings(kind="reinforce")))]
    anchor = Anchor(policy, DivergenceSettings()) if anchored else None
    updater = Updater(policy, aims, UpdatePlan(seed=1), anchor)

    def work(seed: int) -> Run:
        evaluator.seconds = 0.0
        start = clock(policy.device)
        rollout = writer.write(examples, seed)
        written = clock(policy.device)
        updater.update(rollout, Optimiser(policy.trained(), SETTINGS, 1), 0)
        assert rollout.rewards is not None
        return {
            "draw": written - start - evaluator.seconds,
            "score": evaluator.seconds,
            "update": clock(policy.device) - written,
            **_noted(policy, rollout.sources.mask, rollout.mask, rollout.rewards),
        }

    return work


def plain_round(policy: Policy, examples: Sequence[Example], strategy: SampleSettings) -> Work:
    """Do a round as one writes it down from the libraries."""
    metric = BLEU(effective_order=True)  # what sacrebleu.sentence_bleu builds for each call

    def work(seed: int) -> Run:
        start = clock(policy.device)
        sources = policy.tokenize_sources([example.source for example in examples])
        ids, mask = sources.ids, sources.mask
        tokens, kept = _drawn(policy, ids, mask, strategy, seed)
        texts = policy.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        written = clock(policy.device)
        repeated = [example for example in examples for _ in range(strategy.candidates)]
        scores = [
            metric.sentence_score(text, list(example.references)).score / 100
            for text, example in zip(texts, repeated, strict=True)
        ]
        scored = clock(policy.device)
        rewards = torch.tensor(scores, device=policy.device).view(len(examples), -1)
        plain_update(policy, (ids, mask), (tokens, kept), rewards)
        return {
            "draw": written - start,
            "score": scored - written,
            "update": clock(policy.device) - scored,
            **_noted(policy, mask, kept.view(*rewards.shape, -1), rewards),
        }

    return work


@torch.no_grad()
def _drawn(
    policy: Policy, ids: Tensor, mask: Tensor, strategy: SampleSettings, seed: int
) -> tuple[Tensor, Tensor]:
    """Draw by transformers: tokens [B * K, T] and their mask."""
    torch.manual_seed(seed)
    model: Any = policy.model
    config = GenerationConfig(
        do_sample=True,
        top_k=0,
        num_return_sequences=strategy.candidates,
        max_length=1 + strategy.max_tokens,
        **policy.special_tokens(),
    )
    model.eval()
    tokens = model.generate(input_ids=ids, attention_mask=mask.long(), generation_config=config)[
        :, 1:
    ]
    ends = (tokens == policy.end_id).long()
    return tokens, ends.cumsum(dim=1) - ends == 0


def plain_update(
    policy: Policy,
    sources: tuple[Tensor, Tensor],
    candidates: tuple[Tensor, Tensor],
    rewards: Tensor,
) -> None:
    """Take a step of AdamW on REINFORCE with the leave-one-out baseline.

    Args:
        policy: trained in place.
        sources: ids and mask, [B, S].
        candidates: ids and mask, [B * K, T].
        rewards: [B, K].
    """
    (ids, mask), (tokens, kept) = sources, candidates
    num_candidates = rewards.shape[1]
    start = tokens.new_full((len(tokens), 1), policy.special_tokens()["decoder_start_token_id"])
    logits = policy.model(
        input_ids=ids.repeat_interleave(num_candidates, dim=0),
        attention_mask=mask.long().repeat_interleave(num_candidates, dim=0),
        decoder_input_ids=torch.cat([start, tokens[:, :-1]], dim=1),
        use_cache=False,
    ).logits
    log_probs = torch.log_softmax(logits, dim=-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    others = (rewards.sum(dim=1, keepdim=True) - rewards) / (num_candidates - 1)
    advantages = (rewards - others).flatten()
    loss = -(advantages * (log_probs * kept).sum(dim=1)).mean()
    parameters = list(policy.trained().values())
    optimiser = torch.optim.AdamW(
        parameters,
        lr=SETTINGS.learning_rate,
        betas=(SETTINGS.betas[0], SETTINGS.betas[1]),
        weight_decay=SETTINGS.weight_decay,
    )
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, SETTINGS.max_grad_norm)
    optimiser.step()


def _noted(policy: Policy, sources: Tensor, candidates: Tensor, rewards: Tensor) -> Run:
    """Say what was done, from the masks of sources [B, S] and of candidates [B, K, T]."""
    lengths, written = sources.sum(dim=1).tolist(), candidates.sum(dim=2).tolist()
    return {
        "tokens": float(candidates.sum()),
        "reward": float(rewards.mean()),
        "operations": round_operations(sizes_of(policy.model.config), lengths, written),
    }


SIDES: dict[str, Callable[[Policy, Sequence[Example], SampleSettings], Work]] = {
    "goa": partial(goa_round, anchored=False),
    "goa, anchored": partial(goa_round, anchored=True),
    "plain": plain_round,
}


if __name__ == "__main__":
    main()
