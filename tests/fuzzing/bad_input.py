"""What nobody meant to write: the strategies of all fuzzing."""

import datetime
from typing import Any

from hypothesis import strategies as st

ODD_CHARACTERS = "\0\x1b\x7f\x85\u2028\ufeff\ud800\U0001f600é'\"\\/{}[]:,#&*!|>%@`~ \t\r\n"
TEXTS = st.one_of(
    st.text(max_size=8),
    st.text(st.sampled_from(ODD_CHARACTERS), max_size=8),
    st.sampled_from(["", ".", "..", "/", "-", "--", "~", "null", "1e-4", "nan", "x" * 5000]),
)
NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([2**31, 2**63 - 1, -(2**63), 10**18]),
    st.floats(),
)
DATE = datetime.date(2024, 2, 29)
"""Of a type that YAML has, and no setting takes."""
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.binary(max_size=4), st.just(DATE))
_KEYS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none(), st.just("kind"))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=6,
)
"""Whatever a YAML file may say in some place."""
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
YAML_BITS = st.sampled_from(
    [
        *("seed: ", "- ", "? ", ": ", "\n", "\n  ", "[", "]", "{", "}", ",", "|\n", ">\n", "---\n"),
        *("&a ", "*a", "<<: ", "!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!binary "),
        *("!!set ", "!!omap ", "!!pairs ", "!!python/object/apply:os.system ", "!<x> ", "!!str "),
        *("'", '"', "\\ud800", "\\UFFFFFFFF", "\\0", "#", "%YAML 9.9\n", "...\n", "=", "@", "`"),
        *("2024-99-99", "0x_", "0b_", ".nan", ".inf", "1e400", "1:99", "9" * 5000, "~", "x", "1"),
        *("[" * 200, "{a: " * 200, "\t", "\ufeff", "\x07", "é"),
    ]
)
YAML_TEXTS = st.lists(YAML_BITS, max_size=14).map("".join)
BYTES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\xff\xfe", b"\x1f\x8b", b"[" * 50_000, b'{"a":' * 2000, b"\0" * 30]),
    TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
)


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """Change a few bytes of a good file, leave some out, put some in, or cut it off."""
    content = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["change", "drop", "insert", "cut"])):
            case "change":
                content[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "drop":
                del content[place : place + draw(st.integers(1, 30))]
            case "insert":
                content[place:place] = draw(BYTES)
            case "cut":
                del content[place:]
    return bytes(content)


@st.composite
def misspelt(draw: st.DrawFn, name: str) -> str:
    """Misspell a name by one letter."""
    place = draw(st.integers(0, len(name) - 1))
    match draw(st.sampled_from(["double", "swap", "other"])):
        case "double":
            return name[: place + 1] + name[place:]
        case "swap" if place and name[place] != name[place - 1]:
            return name[: place - 1] + name[place] + name[place - 1] + name[place + 1 :]
        case _:
            return name[:place] + "q" + name[place + 1 :]
