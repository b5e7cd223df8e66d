"""A file that does something when it is opened the wrong way."""

import zipfile
from pathlib import Path

import torch


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._mark,)


def plant(path: Path, mark: Path) -> None:
    """Write what torch.save writes, so that unpickling it makes the file ``mark``."""
    torch.save({"model.weight": _Bomb(mark)}, path)
    with path.open("rb") as file:  # of a path, torch looks at the end of the name
        torch.load(file, weights_only=False)
    assert mark.exists()  # it does go off
    assert zipfile.is_zipfile(path)
    mark.unlink()
