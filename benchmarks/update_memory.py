"""Peak memory and time of an update, by what is set for it; a table on standard output.

    python benchmarks/update_memory.py [--layers 3] [--width 256] [--vocab 8000]

Every row is a fresh process on the CPU, or a team of two, of which the first is measured: a
Marian-shaped model from scratch, candidates of random tokens, policy gradient with the pretrained
policy beside it. Memory is the process's peak resident set less what it was before there was a
model; time is the median of three updates after one that is not counted.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipelines.launch import is_member, launch, rank, team_size

ROWS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "tokens_per_pass 2048": {"tokens_per_pass": 2048},
    "tokens_per_pass 2048, gradient_checkpointing": {"tokens_per_pass": 2048, "checkpoint": True},
    "gradient_checkpointing": {"checkpoint": True},
    "bfloat16": {"precision": "bfloat16"},
    "adapter, rank 8": {"adapter": 8},
    "2 processes": {"processes": 2},
    "2 processes, fsdp": {"processes": 2, "fsdp": True},
}
ENVIRONMENT = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
"""What is freed is given back at once, so that the peak is what was in use (glibc)."""


def main() -> None:
    """Measure every row, or, asked by itself, one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=8000)
    parser.add_argument("--sources", type=int, default=64)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row is not None:
        size = ROWS[given.row].get("processes", 1)
        if size > 1 and not is_member():
            raise SystemExit(launch([sys.executable, *sys.argv], size))
        found = measure(given, ROWS[given.row])
        if rank() == 0:
            print(json.dumps(found))
        return
    print("| set | parameters trained | memory, MiB | s/update |\n| --- | --- | --- | --- |")
    for name in ROWS:
        argv = [sys.executable, __file__, *sys.argv[1:], "--row", name]
        done = subprocess.run(argv, check=True, capture_output=True, text=True, env=ENVIRONMENT)
        found = json.loads(done.stdout)
        trained, mib, seconds = found["trained"], found["mib"], found["seconds"]
        print(f"| {name} | {trained / 1e6:.2f} M | {mib:.0f} | {seconds:.2f} |", flush=True)


def measure(given: argparse.Namespace, row: dict[str, Any]) -> dict[str, float]:
    """Build, update four times, and give what that took."""
    # Imported here, so that the process that prints the table stays out of the way.
    import torch

    from goa.objectives.reinforce import Reinforce, ReinforceSettings
    from goa.policies.adapter import AdapterSettings, add_adapter
    from goa.policies.build import build_model
    from goa.policies.compute import set_up
    from goa.policies.encoder_decoder import EncoderDecoder
    from goa.policies.settings import ComputeSettings, ScratchPolicySettings
    from goa.policies.tokenizer import train_tokenizer
    from goa.policies.tokens import Tokens
    from goa.rollouts.rollout import Rollout
    from goa.trainer.anchor import Anchor
    from goa.trainer.optimiser import Optimiser
    from goa.trainer.settings import DivergenceSettings, OptimiserSettings
    from goa.trainer.team import join_team
    from goa.trainer.update import Aim, UpdatePlan, Updater

    torch.set_num_threads(1)
    settings = ScratchPolicySettings(
        kind="scratch",
        vocab_size=given.vocab,
        d_model=given.width,
        num_layers=given.layers,
        d_ff=4 * given.width,
    )
    tokenizer = train_tokenizer(iter(["a b c"]), settings)
    cpu = torch.device("cpu")
    team = join_team(cpu, team_size())
    before = peak_mib()
    policy = EncoderDecoder(build_model(settings, given.vocab, 0, 1, seed=1).eval(), tokenizer)
    if "adapter" in row:
        add_adapter(policy, AdapterSettings(rank=row["adapter"]), seed=1)
    compute = ComputeSettings(
        precision=row.get("precision", "float32"),
        gradient_checkpointing=row.get("checkpoint", False),
    )
    set_up(policy, compute, dropout=False)
    shape = (given.sources, given.candidates, given.tokens)
    tokens = torch.randint(3, given.vocab, shape)
    ids = torch.randint(3, given.vocab, (given.sources, given.tokens))
    rollout = Rollout(
        sources=Tokens(ids=ids, mask=torch.ones_like(ids, dtype=torch.bool)),
        tokens=tokens,
        mask=torch.ones(shape, dtype=torch.bool),
        rewards=torch.rand(shape[:2]),
    )
    anchor = Anchor(policy, DivergenceSettings())
    if row.get("fsdp"):
        policy.shard(cpu, team.size)
        anchor.shard(cpu, team.size)
    rollout = rollout[team.share]
    trained = policy.trained()
    made = OptimiserSettings(tokens_per_pass=row.get("tokens_per_pass", 8192))
    optimiser = Optimiser(trained, made, 10)
    aims = [Aim(objective=Reinforce(ReinforceSettings(kind="reinforce")))]
    updater = Updater(policy, aims, UpdatePlan(seed=1), anchor, team)
    times = []
    for update in range(4):
        started = time.perf_counter()
        updater.update(rollout, optimiser, update)
        times.append(time.perf_counter() - started)
    return {
        "trained": sum(weight.numel() for weight in trained.values()),
        "mib": peak_mib() - before,
        "seconds": statistics.median(times[1:]),
    }


def peak_mib() -> float:
    """Give the most memory this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
