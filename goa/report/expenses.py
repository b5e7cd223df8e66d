"""What the stages cost, as a part of the page of Markdown."""

from collections import Counter
from collections.abc import Iterator, Sequence

from goa.report.markup import plain, table
from goa.report.numbers import MISSING
from goa.report.quantities import say_bytes, say_energy, say_seconds
from goa.tracking.cost import Cost


def show_costs(costs: Sequence[Cost]) -> Iterator[str]:
    """Lay out a row a stage and one of all together; nothing where nothing is known."""
    if not costs:
        return
    yield "## What it cost"
    gpu = any(cost.peak_gpu_memory is not None for cost in costs)
    header = ["stage", "time", "memory", *(["GPU memory"] if gpu else []), "energy", "tokens/s"]
    rows = [_cost_row(f"`{cost.stage}`", [cost], gpu=gpu) for cost in costs]
    yield table(header, [*rows, _cost_row("**together**", costs, gpu=gpu)])
    machines = Counter(cost.machine for cost in costs)
    yield "\n".join(
        f"- {line}"
        for line in (
            "Time: what stages took one by one, tries that were killed included; stages that came "
            "out of DVC's cache cost this when their outputs were made.",
            "Memory and GPU memory: at the highest, of the stage's first process and those that it "
            "scores in.",
            "Energy: what the counters of the whole machine ran on by, whatever ran beside; "
            f"{MISSING} where none can be read.",
            "tokens/s: of each kind of work alone, such as decoding by one strategy; training "
            "without looks at the validation split.",
            f"On: {', '.join(_machine(name, count) for name, count in machines.items())}.",
        )
    )


def _cost_row(name: str, costs: Sequence[Cost], *, gpu: bool) -> list[str]:
    on_gpu = [cost.peak_gpu_memory for cost in costs if cost.peak_gpu_memory is not None]
    energies = [cost.energy for cost in costs if cost.energy is not None]
    return [
        name,
        say_seconds(sum(cost.seconds for cost in costs)),
        say_bytes(max(cost.peak_memory for cost in costs)),
        *([say_bytes(max(on_gpu, default=None))] if gpu else []),
        say_energy(sum(energies) if len(energies) == len(costs) else None),
        _speeds(costs[0]) if len(costs) == 1 else "",
    ]


def _speeds(cost: Cost) -> str:
    return ", ".join(
        f"{plain(name)} {work.tokens / work.seconds:,.0f}"
        for name, work in cost.work.items()
        if work.seconds > 0
    )


def _machine(name: str, num_stages: int) -> str:
    return f"{plain(name)} ({num_stages} stage{'s' * (num_stages != 1)})"
