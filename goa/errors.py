"""Everything goa raises on purpose.

::

    GoaError
    ├── SettingsError        params.yaml, or a settings object, cannot be used
    ├── DataError            a corpus, a pool or an output file cannot be read as what it should be
    ├── PolicyError          a model folder, a tokenizer or a generation request cannot be used
    ├── EvaluatorError       an evaluator broke its contract, or cannot score what it was given
    ├── TrainingError        a training run cannot go on (a loss that is not finite, say)
    ├── CheckpointError      a checkpoint is unusable, or another process holds its folder
    ├── TrackingError        the tracking store cannot be reached or refuses what it is given
    └── PipelineError        a stage, the stage graph or its locks stand in the way

A message says what was found, where, and what to do. The command line prints it as it is and ends
with exit code 2; users never see a traceback for what they can cause.
"""

import re
from urllib.parse import urlsplit

SECRET_NAME = re.compile(
    r"(?i)(^|[_.-])(password|passwd|passphrase|pwd|secret|((secret|access|private|api)[_-]?key)"
    r"|((auth|access|api)[_-]?token)|bearer|credentials?|sig|signature)$"
)
"""What a setting or a parameter of an address is called whose value nobody should see."""
_USER = re.compile(r"(?<=://)[^/\s'\"<>]*@")
_QUERY = re.compile(r"([?&;])([A-Za-z0-9_.-]+)=([^&;#\s'\"<>]+)")


class GoaError(Exception):
    """Base of every error that goa raises on purpose."""


class SettingsError(GoaError, ValueError):
    """Settings cannot be used; the message lists every problem found, one a line.

    It is a ValueError too, so that a settings model can raise it while it is checked.
    """


class DataError(GoaError):
    """A file of examples, candidates or rewards is not what it should be."""


class PolicyError(GoaError):
    """A model or tokenizer cannot be loaded, or cannot do what is asked of it."""


class EvaluatorError(GoaError):
    """An evaluator broke its contract; the message names it and the text it was given."""


class TrainingError(GoaError):
    """A training run cannot go on."""


class CheckpointError(GoaError):
    """A checkpoint is unusable, or its folder is held by another process."""


class TrackingError(GoaError):
    """The tracking store cannot be used."""


class PipelineError(GoaError):
    """A stage, the stage graph or its locks stand in the way."""


ROOM_FOR_NAMES = 300
"""Characters that a message has for the names that are there."""


def is_lack_of_memory(error: BaseException) -> bool:
    """Say whether an error is Python's, torch's or CUDA's way to say that memory ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    # torch has that kind for GPUs alone; for a machine's memory it has but the words.
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, RuntimeError) and any(said in str(error) for said in words)


def first_line(error: Exception) -> str:
    """Give the first line of a library's error, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def printable(text: str) -> str:
    """Spell out what a terminal would take for a command, and what no stream can be given."""
    return "".join(
        each if each.isprintable() or each in "\n\t" else repr(each)[1:-1] for each in text
    )


def excerpt(text: str, limit: int = 60) -> str:
    """Cut a text to the characters that a message has room for."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def hide_secrets(text: str) -> str:
    """Take out of the addresses in a text what may be secret: users, passwords, keys."""
    return _QUERY.sub(_hide_value, _USER.sub("", text))


def holds_secret(address: str) -> bool:
    """Say whether an address has a password or a key in it; over HTTP a user alone may be one."""
    try:
        parts = urlsplit(address)
        secret = parts.password or (parts.username if parts.scheme.startswith("http") else None)
    except ValueError:  # no address at all: whoever uses it says so
        return False
    query = f"?{parts.query}"
    return bool(secret) or hide_secrets(query) != query


def is_secret(name: str) -> bool:
    """Say whether a setting's name says that its value is a secret.

    ``token`` and ``key`` alone do not, but in addresses.
    """
    return SECRET_NAME.search(name) is not None


def _hide_value(found: re.Match[str]) -> str:
    before, name, _ = found.groups()
    secret = is_secret(name) or name.lower() in ("token", "key")
    return f"{before}{name}=***" if secret else found[0]
