"""Where an output differs from another, word by word."""

import re
from difflib import SequenceMatcher

WORD = re.compile(r"\s*\S+")
"""A word with the space before it."""


def differing(text: str, other: str) -> list[str]:
    """Cut a text where it differs from another one.

    Each part begins with what it is: ``=`` words of both, ``+`` words that only this text has,
    ``-`` words that only the other has. Where words stand in place of others, only this text's are
    given. Without its ``-`` parts and signs, the whole is the text, to the last space.
    """
    own, theirs = WORD.findall(text), WORD.findall(other)
    matcher = SequenceMatcher(
        None, [word.strip() for word in theirs], [word.strip() for word in own], autojunk=False
    )
    parts: list[str] = []
    for kind, start, end, own_start, own_end in matcher.get_opcodes():
        if kind == "delete":
            space = "" if parts or not own else " "
            parts.append("-" + "".join(theirs[start:end]) + space)
        else:
            words = "".join(own[own_start:own_end])
            space = "" if kind == "equal" else words[: len(words) - len(words.lstrip())]
            parts += [f"={space}"] if space else []
            parts.append(("=" if kind == "equal" else "+") + words[len(space) :])
    rest = text[sum(map(len, own)) :]
    return [*parts, f"={rest}"] if rest else parts
