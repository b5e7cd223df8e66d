"""Values on disk as JSON, checked as they are read back."""

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from goa.errors import DataError

Value = TypeVar("Value")


def write_json(path: Path, form: TypeAdapter[Value], value: Value) -> None:
    """Write a value of a form as indented JSON."""
    path.write_bytes(form.dump_json(value, indent=2) + b"\n")


def read_json(path: Path, form: TypeAdapter[Value], *, what: str, remedy: str) -> Value:
    """Read a value back.

    Args:
        path: of the file.
        form: what it holds.
        what: the same in words, for the message.
        remedy: what makes the file.

    Raises:
        DataError: the file is missing or holds something else; path, place and remedy are named.
    """
    try:
        return form.validate_json(path.read_bytes(), strict=True)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; {remedy}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise DataError(f"{path}: not {what}: {place}: {problem['msg']}; {remedy} again") from None
