"""Locks on files that others may have made."""

import os
from pathlib import Path

import pytest

from pipelines.locks import try_lock


def test_a_lock_that_may_only_be_read_can_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gpu.lock"
    path.touch()
    really = os.open

    def refuse_to_write(file: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:  # as for a file of somebody else's; for root nothing is
            raise PermissionError
        return really(file, flags, mode)

    monkeypatch.setattr(os, "open", refuse_to_write)
    held = try_lock(path)
    assert held is not None
    assert try_lock(path) is None
    os.close(held)
