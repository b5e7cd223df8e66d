"""What is said at the end of a run: how many cases there were."""

from typing import Any

from tests.fuzzing.cases import COUNTS


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for target, count in sorted(COUNTS.items()):
        terminalreporter.write_line(f"fuzzing: {count:>9,} cases of {target}")
    if COUNTS:
        terminalreporter.write_line(f"fuzzing: {COUNTS.total():>9,} cases in all")
