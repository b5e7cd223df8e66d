"""YAML from outside: plain values and nothing else, or a message that says where it is wrong.

Beyond what PyYAML's safe loader refuses (tags that name Python objects, say), this one refuses what
it takes in silence or stumbles over: a key that is named twice, an alias within what it stands
for, aliases of aliases that grow beyond reason, whole numbers beyond 64 bits, and text that no file
can hold.
"""

from collections.abc import Hashable
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from goa.errors import ROOM_FOR_NAMES, SettingsError, excerpt

MAX_DEPTH = 50
"""Collections within one another; settings need ten."""
MAX_VALUES = 1_000_000
"""Values, with each alias counted as all that it stands for."""
MAX_INTEGER = 2**63
NO_TEXT = {"\0", *map(chr, range(0xD800, 0xE000))}
"""Characters that YAML can spell, and no path or file can hold."""


def parse_yaml(text: str, where: str) -> Any:
    """Read one YAML document.

    Args:
        text: of the document.
        where: it comes from, for the message.

    Raises:
        SettingsError: it is not valid YAML, or not plain values.
    """
    try:
        return _PlainLoader(text).get_single_data()
    # The scanner lets through what chr() says of a character's number that is none.
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        told = "\n".join(excerpt(line, ROOM_FOR_NAMES) for line in str(error).splitlines())
        raise SettingsError(f"{where}: not valid YAML: {told}") from None


class _PlainLoader(yaml.SafeLoader):
    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self._depth > MAX_DEPTH:
            raise _too_deep(self.peek_event())  # type: ignore[no-untyped-call]
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value)
            if isinstance(key, yaml.ScalarNode) and name in seen:
                told = f"{excerpt(repr(key.value))} is named twice here; leave one out"
                raise ComposerError(None, None, told, key.start_mark)
            if isinstance(name[1], Hashable):
                seen.add(name)
        return node

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _measure(node, {})
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
            # PyYAML's constructors expect that a scalar is what its tag or its look promises.
            kind = node.tag.rpartition(":")[2]
            told = f"{excerpt(repr(node.value))} is no {kind}; text goes in quotes"
            raise ConstructorError(None, None, told, node.start_mark) from None
        problem = _problem(value)
        if problem is not None:
            raise ConstructorError(None, None, problem, node.start_mark)
        return value


def _measure(node: Any, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Count the values and the depth of a node with all aliases written out.

    Args:
        node: to be measured.
        known: measures by node; None of nodes that are being measured.
    """
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            told = "an alias stands within what it stands for; write the values out"
            raise ComposerError(None, None, told, node.start_mark)
        return measured
    known[id(node)] = None
    size, depth = 1, 0
    for child in _children(node):
        inner_size, inner_depth = _measure(child, known)
        size, depth = size + inner_size, max(depth, inner_depth + 1)
    if depth > MAX_DEPTH:
        raise _too_deep(node)
    if size > MAX_VALUES:
        told = f"more than {MAX_VALUES:,} values, with aliases written out; use fewer aliases"
        raise ComposerError(None, None, told, node.start_mark)
    known[id(node)] = size, depth
    return size, depth


def _children(node: Any) -> list[Any]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _too_deep(place: Any) -> ComposerError:
    told = f"more than {MAX_DEPTH} collections within one another"
    return ComposerError(None, None, told, place.start_mark)


def _problem(value: Any) -> str | None:
    """Say what is wrong with a value that YAML can spell; None where nothing is."""
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        return "a whole number beyond 64 bits"
    if isinstance(value, str) and (wrong := NO_TEXT & set(value)):
        return f"{excerpt(repr(value))} has {min(wrong)!r}, which no text in a file can have"
    return None
