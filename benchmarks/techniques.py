"""What each technique of writing and updating brings: goa with it, and without it alone.

    python benchmarks/techniques.py POLICY DATA [REFERENCES] [--sources 64] [--candidates 8]

POLICY is a policy's folder, of Marian's, BART's or T5's kind; DATA a project's out/data, or a file
of sources and one of REFERENCES. Parts of a round are done as goa does them, and with one technique
left out at a time, in turns: candidates are drawn, the best of a beam written, a step of AdamW
taken on REINFORCE with the leave-one-out baseline, whose rewards are BLEU. Each step begins with
the same weights and no moments. The decoder-only policy is of Llama's shape, from scratch; its
rewards are another, cheap function.

Seconds are medians, after a first time that is not counted. Memory is the peak of a first time
beyond what was in use before, in a process of its own; an optimiser's moments are in it. Off gives
what on gives, up to rounding: told is the share of candidates with the same tokens, or how far an
update's loss, and the norm of its gradient as a share of itself, are apart at most. Where they are
too far apart, the command fails; but torch.multinomial and bfloat16 give something else by nature.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.harness import (
    Runs,
    Side,
    arguments,
    median,
    read_examples,
    table,
    take_turns,
    write_json,
)
from benchmarks.llama import llama_settings, make_llama
from benchmarks.memory import in_own_process, peak_mib
from benchmarks.parts import PARTS, Outcome, Part, Step, Technique, World
from goa.policies.policy import Policy
from goa.policies.storage import load_policy
from pipelines.stage import silence_foreign_bars

AS_IT_IS = "as it is"
LEAST_ALIKE = 0.9
"""Share of candidates: rounding moves a draw that falls between two tokens."""
MOST_APART = 1e-4
"""Of losses, and of norms as shares."""
Row = dict[str, Any]
"""What one technique brings to one part, by name."""


def main() -> None:
    """Print the table; or, asked by itself, what one side takes in memory."""
    given = _arguments()
    silence_foreign_bars()
    torch.set_num_threads(given.threads)
    world = _world(given)
    if given.memory_of:
        name, side = given.memory_of
        work = sides_of(PARTS[name](world), {})[side].work
        print(peak_mib(lambda: work(0), given.device))
        return
    rows: list[Row] = []
    for name, make in PARTS.items():
        part = make(world)
        runs, kept = done(part, given.repeats, given.device)
        sides = [AS_IT_IS, *(each.name for each in part.techniques if each.memory)]
        memory = {
            side: float(in_own_process("--memory-of", name, side)) for side in sides if sides[1:]
        }
        rows += [row_of(name, technique, runs, kept, memory) for technique in part.techniques]
        if part.note:
            print(f"{name}: {part.note}.\n")
    print(_table(rows))
    write_json(given.json, given, rows)
    wrong = [f"{row['technique']} ({row['part']})" for row in rows if not row["holds"]]
    if wrong:
        raise SystemExit(f"on and off do not give the same: {'; '.join(wrong)}")


def _arguments() -> argparse.Namespace:
    parser = arguments(__doc__, device=True)
    parser.add_argument("policy", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--sources", dest="num_sources", type=int, default=64)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--llama-tokens", type=int, default=24)
    parser.add_argument("--llama-layers", type=int, default=4)
    parser.add_argument("--llama-width", type=int, default=256)
    parser.add_argument("--llama-vocab", type=int, default=8000)
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def _world(given: argparse.Namespace) -> World:
    device = torch.device(given.device)

    @cache
    def llama() -> Policy:
        settings = llama_settings(given.llama_vocab, given.llama_width, given.llama_layers, 8)
        policy = make_llama(settings, read_examples(given.data))
        policy.model.to(device)
        return policy

    return World(
        policy=load_policy(given.policy, device),
        make_llama=llama,
        examples=read_examples(given.data, given.num_sources),
        candidates=given.candidates,
        max_tokens=given.max_tokens,
        llama_tokens=given.llama_tokens,
        beam=given.beam,
    )


def done(part: Part, repeats: int, device: str = "cpu") -> tuple[Runs, dict[str, Outcome]]:
    """Let all sides of a part take turns; give the runs, and the last outcome of each side."""
    kept: dict[str, Outcome] = {}
    runs = take_turns(sides_of(part, kept), repeats, device)
    part.restore()  # the next part begins with the same weights
    return runs, kept


def sides_of(part: Part, kept: dict[str, Outcome]) -> dict[str, Side]:
    """Make the sides of a part: as it is, and by each technique's name with that one switched.

    Args:
        part: what is done.
        kept: told each side's last outcome.
    """

    def side(name: str, switch: Callable[[], Any]) -> Side:
        def work(seed: int) -> dict[str, float]:
            with switch():
                kept[name] = part.work(seed)
            return {}

        return Side(work=work, prepare=part.restore)

    switches = {technique.name: technique.switch for technique in part.techniques}
    return {
        name: side(name, switch) for name, switch in {AS_IT_IS: nullcontext, **switches}.items()
    }


def row_of(
    part: str,
    technique: Technique,
    runs: Runs,
    kept: Mapping[str, Outcome],
    memory: Mapping[str, float],
) -> Row:
    """Say what a technique brings.

    Args:
        part: the part's name.
        technique: one of the part's.
        runs: of all sides.
        kept: the last outcome of each.
        memory: MiB of those sides for which it is known.
    """
    on, off = AS_IT_IS, technique.name
    if not technique.is_on:
        on, off = off, on
    found = compared(kept[AS_IT_IS], kept[technique.name])
    return {
        "technique": technique.name,
        "part": part,
        "seconds": {"on": median(runs[on], "seconds"), "off": median(runs[off], "seconds")},
        "mib": {"on": memory[on], "off": memory[off]} if technique.memory else None,
        "found": found,
        "holds": not technique.same or holds(found),
        "runs": {"on": runs[on], "off": runs[off]},
    }


def compared(usual: Outcome, other: Outcome) -> dict[str, float]:
    """Give the share of candidates that are "alike", or how far updates are "apart"."""
    if isinstance(usual, Step) and isinstance(other, Step):
        losses, norms = abs(other.loss - usual.loss), abs(other.norm - usual.norm)
        return {"apart": max(losses, norms / usual.norm)}
    alike = sum(own == its for own, its in zip(usual, other, strict=True))
    return {"alike": alike / len(usual)}


def holds(found: dict[str, float]) -> bool:
    """Say whether what is compared is the same, up to rounding."""
    return found.get("alike", 1.0) >= LEAST_ALIKE and found.get("apart", 0.0) <= MOST_APART


def _table(rows: Sequence[Row]) -> str:
    header = ["technique", "part", "on, s", "off, s", "off over on", "on, MiB", "off, MiB"]
    return table([*header, "the same"], [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    seconds, mib, found = row["seconds"], row["mib"], row["found"]
    return [
        row["technique"],
        row["part"],
        f"{seconds['on']:.2f}",
        f"{seconds['off']:.2f}",
        f"{seconds['off'] / seconds['on']:.2f}",
        *((f"{mib['on']:.0f}", f"{mib['off']:.0f}") if mib else ("", "")),
        f"{100 * found['alike']:.1f} %" if "alike" in found else f"to {found['apart']:.0e}",
    ]


if __name__ == "__main__":
    main()
