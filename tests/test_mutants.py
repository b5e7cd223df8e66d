"""The ways to break code, and the runs that show whether tests notice."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants import codes
from tests.mutations import mutants

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return a < b", ["return None", "a <= b", "a >= b"]),
        ("return a - b", ["return None", "a + b"]),
        ("a += b", ["a -= b", "a = b"]),
        ("return not a", ["return None", "a"]),
        ("return a and b", ["return None", "a or b"]),
        ("return a if b else c", ["return None", "a if not b else c"]),
        ("if a: pass", ["if not a:"]),
        ("a = 0.5", ["1.5"]),
        ("a = True", ["False"]),
        ("a = 'b'", ["'XXbXX'"]),
        ("f(a, b, c=d)", ["pass", "f(b, a, c=d)", "f(a, b)"]),
        ("f(*a, b)", ["pass"]),
        ("raise ValueError('a' + b)", []),
        ("given(a, 'what', 'who')", ["pass"]),
        ("'a docstring'", []),
    ],
)
def test_a_line_is_broken_in_every_way_there_is(line: str, expected: list[str]) -> None:
    found = [what.partition("  ->  ")[2] for _, what, _ in mutants(f"def f(a, b, c):\n    {line}")]
    assert found == expected


def test_methods_are_broken_and_what_stands_outside_of_functions_is_not() -> None:
    source = "A = 1\nclass B:\n    c: int = 2\n    def d(self, e=3) -> 'B':\n        return 4\n"
    assert [(line, what) for line, what, _ in mutants(source)] == [
        (5, "return 4  ->  return None"),
        (5, "4  ->  5"),
    ]


def test_a_mutant_is_broken_in_one_place() -> None:
    source = "def f(a):\n    return -a\n\ndef g(b):\n    return b < 1\n"
    whole, _ = codes(compile(source, "module", "exec"))
    for line, what, tree in mutants(source):
        found, _ = codes(compile(tree, "module", "exec"))
        assert (found == whole) == (line > 2), what


def test_what_no_test_notices_is_listed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants", "goa/objectives/ramp.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.splitlines()[:2] == [
        "survived: ramp.py:20: min(1.0, update / self.rounds)  ->  min(update / self.rounds, 1.0)",
        "ramp.py: {'killed': 6, 'survived': 1}",
    ]
