"""Break a module in small ways, one at a time, and see whether its tests notice.

``python -m tests.mutants goa/objectives/grpo.py ...``: everything is imported once. For each mutant
the process forks, puts the mutant's code into the functions that are there, and runs the module's
tests, the quickest first, until one fails. Mutants that no test fails on are listed.

What stands outside of functions (defaults, bounds of settings) is not broken, nor are the words of
errors.
"""

import argparse
import ast
import gc
import json
import os
import re
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import NoReturn

import pytest

from tests.mutations import mutants

TESTS = {
    "advantages": "advantages reinforce grpo ppo",
    "clipping": "clipping grpo ppo",
    "contract": "contract likelihood entropy divergence best_of_n dpo reinforce mrt loop",
    "head": "critic credit",
    "numbering": "numbering bleu chrf rouge overlap",
    "overlap": "overlap bleu chrf",
    "rouge": "rouge numbering",
    "siblings": "siblings diversity normalisation",
    "memory": "memory sentiment relevance",
    "tokens": "tokens distinct length relevance repetition",
    "learning": "discriminator python",
    "python": "python recipe",
    "http": "http recipe",
    "connection": "connection http",
    "workers": "scoring",
    "text_model": "classifier bertscore",
    "sequence_classifier": "classifier",
    "pretrained": "pretrained classifier bertscore",
    "sentence_encoder": "relevance",
    "text_pair_network": "discriminator",
    "aims": "finetuning update loop",
    "update": "update perturbation",
    "optimiser": "optimiser loop",
    "diagnostics": "diagnostics update evolution",
    "looks": "loop guards finetuning",
    "misfits": "finetuning guards",
    "reward_validation": "validation",
}
"""Of modules that are tested by the files of others: the names of those."""
UNPLACED = 3
FOUND = {0: "survived", 1: "killed", UNPLACED: "not tried"}
"""By how a mutant's process ends; not tried: its code does not fit into the function."""
LAWS = ("table", "every_kind")
"""Files with tests that every objective, or every kind of evaluator, has to pass."""
LENGTHY = "a_hundred_thousand_characters"
"""Tests of speed, left out: they would take most of the time."""


def codes(code: CodeType) -> Iterator[CodeType]:
    """Find the code of all functions in a module's."""
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from codes(const)


def install(tree: ast.Module, path: str, live: Sequence[FunctionType]) -> bool:
    """Put a mutant's code into the functions of a module that are there; say whether it could."""
    fresh = defaultdict(list)
    for code in codes(compile(tree, path, "exec", dont_inherit=True)):
        fresh[code.co_qualname, code.co_firstlineno].append(code)
    placed = False
    for function in live:
        old = function.__code__
        match fresh[old.co_qualname, old.co_firstlineno]:
            # Two lambdas of a line cannot be told apart; whoever makes them will make new ones.
            case [code] if code != old and code.co_freevars == old.co_freevars:
                function.__code__ = code
                placed = True
    return placed


class Mutation:
    """A plugin of pytest that runs the tests of modules once for each mutant of theirs."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.modules, self.failed = modules, False

    def pytest_collection(self) -> None:
        """Draw the same cases each time, and do not look for the shortest that fails."""
        from hypothesis import Phase, settings  # noqa: PLC0415 (before pytest it warns)

        phases = [Phase.explicit, Phase.generate]
        options = {"database": None, "deadline": None, "derandomize": True, "phases": phases}
        settings.register_profile("mutants", **options)  # type: ignore[arg-type]
        settings.load_profile("mutants")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notice that a test failed."""
        self.failed |= report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests of each module."""
        about = {
            module: [item for item in session.items if holds(item, module)]
            for module in self.modules
        }
        for module, items in about.items():
            if not items:
                pytest.exit(f"{module}: no test is about it; name files in TESTS", returncode=2)
        live = defaultdict(list)
        for thing in gc.get_objects():
            if type(thing) is FunctionType:
                live[thing.__code__.co_filename].append(thing)
        gc.freeze()
        gc.disable()  # it would touch, and so copy, all the memory that forks share
        for module, items in about.items():
            self.break_module(Path(module).resolve(), items, live)
        return True

    def break_module(
        self, path: Path, items: list[pytest.Item], live: dict[str, list[FunctionType]]
    ) -> None:
        """Run a module's tests for each of its mutants."""
        code, seconds = self.forked(items, 3600.0, lambda: True)
        if code != 0:
            pytest.exit(f"{path}: the tests fail before anything is broken", returncode=2)
        items.sort(key=lambda item: seconds[item.nodeid])
        limit, counts = 10 + 4 * sum(seconds.values()), Counter[str]()
        for line, what, tree in mutants(path.read_text(encoding="utf-8")):
            code, _ = self.forked(
                items, limit, lambda tree=tree: install(tree, str(path), live[str(path)])
            )
            found = FOUND.get(code, "timed out")
            counts[found] += 1
            if found != "killed":
                tell(f"{found}: {path.name}:{line}: {what}")
        tell(f"{path.name}: {dict(counts)}")

    def forked(
        self, items: Sequence[pytest.Item], limit: float, change: Callable[[], bool]
    ) -> tuple[int, dict[str, float]]:
        """Change something in a process of its own, and run tests there until one fails.

        Gives 0 if none did, 1 if one did, and how many seconds of the processor each one took.
        """
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                if not change():
                    os._exit(UNPLACED)
                self._run(items, limit, write)
            finally:
                os._exit(1)
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as file:
            told = file.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code, json.loads(told or "{}")

    def _run(self, items: Sequence[pytest.Item], limit: float, write: int) -> NoReturn:
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 1))
        signal.alarm(60 + 3 * int(limit))  # who waits for ever takes no time of the processor
        seconds = {}
        for item, following in zip(items, [*items[1:], None], strict=True):
            before = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            seconds[item.nodeid] = time.process_time() - before
            if self.failed:
                break
        with os.fdopen(write, "w", encoding="utf-8") as file:
            json.dump(seconds, file)
        os._exit(int(self.failed))


def tell(line: str) -> None:
    """Print past what pytest catches."""
    print(line, file=sys.__stdout__, flush=True)


def tests_of(module: str) -> list[Path]:
    """Give the files of tests that hold a module."""
    path = Path(module)
    names = [*TESTS.get(path.stem, path.stem).split(), *LAWS]
    files = [Path("tests", path.parent, f"test_{name}.py") for name in names]
    return [file.resolve() for file in files if file.exists()]


def holds(item: pytest.Item, module: str) -> bool:
    """Say whether a test is about a module: it is in a file of it, or a law that names it."""
    name = item.path.stem.removeprefix("test_")
    if name in LAWS and name != Path(module).stem:
        parts = re.split(r"[\[\]-]", item.nodeid)
        return any(part.startswith(Path(module).stem) for part in parts)
    return item.path in tests_of(module)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("modules", nargs="+", help="files such as goa/objectives/grpo.py")
    chosen = parser.parse_args().modules
    files = sorted({str(file) for module in chosen for file in tests_of(module)})
    options = ["-q", "-s", "-p", "no:xdist", "-p", "no:cacheprovider", "-k", f"not {LENGTHY}"]
    sys.exit(pytest.main([*options, *files], plugins=[Mutation(chosen)]))
