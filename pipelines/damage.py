"""What DVC's cache gave back, held against what dvc.lock says: DVC itself trusts its cache."""

import hashlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from pipelines.graph import cache_folder, lock_entries

FOLDER = ".dir"
"""End of the digests of folders; the object of that name lists the digests of their files."""


def describe_damage(name: str, root: Path) -> str | None:
    """Name what is not as dvc.lock has it among a stage's outputs, and how to get rid of it."""
    cache = cache_folder(root)
    found = list(_damaged(lock_entries(root).get(name, {}), root, cache))
    if not found:
        return None
    paths = [str(path) for path, _ in found]
    objects = [str(_object(cache, digest)) for _, digest in found]
    return (
        f"DVC's cache gave back damaged files: {', '.join(paths)}\n"
        "Remove them here and there, and run it again: what no remote has is made anew:\n"
        f"rm -rf {shlex.join([*paths, *objects])}"
    )


def _damaged(
    entry: dict[str, list[dict[str, str]]], root: Path, cache: Path
) -> Iterator[tuple[Path, str]]:
    """Give each damaged file, relative to the root, with the digest that it should have."""
    for out in entry.get("outs", []):
        path, digest = Path(out["path"]), out["md5"]
        if not digest.endswith(FOLDER):
            files = [(path, digest)]
        elif _digest(_object(cache, digest)) + FOLDER != digest:
            yield path, digest
            continue
        else:
            listed = json.loads(_object(cache, digest).read_bytes())
            files = [(path / each["relpath"], each["md5"]) for each in listed]
        for file, expected in files:
            if _digest(root / file) != expected:
                yield file, expected


def _object(cache: Path, digest: str) -> Path:
    return cache / digest[:2] / digest[2:]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except OSError:
        return "none"
