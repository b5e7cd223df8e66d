"""Randomness as explicit generators, each made from what it is for."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Derive a 64-bit seed from a base seed and the names and numbers it is for.

    Equal arguments give equal seeds on every machine; any other argument gives an unrelated one.
    """
    text = "\x1f".join([str(seed), *(f"{type(part).__name__}:{part}" for part in purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Make a NumPy generator for one purpose, such as ``generator(seed, "split")``."""
    return np.random.Generator(np.random.Philox(derive_seed(seed, *purpose)))


@contextmanager
def torch_draws(seed: int, *purpose: str | int) -> Iterator[None]:
    """Let torch's own generator on the CPU draw for one purpose, and leave it as it was."""
    import torch  # noqa: PLC0415 - most who need randomness do without torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, *purpose) % 2**63)
        yield


class Shuffle:
    """A random order of 0..n-1 that is never written down.

    A four-round Feistel network permutes a power of four that holds n; positions that fall outside
    walk on until they are inside (Black and Rogaway, 2002). Memory does not grow with n, and any
    position is reached at once, which is what resuming in the middle of an epoch needs.
    """

    def __init__(self, size: int, seed: int, *purpose: str | int) -> None:
        self.size = size
        self._half_bits = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
        self._keys = [derive_seed(seed, *purpose, turn) for turn in range(4)]

    def __getitem__(self, positions: slice) -> npt.NDArray[np.int64]:
        """Give the indices at positions start..stop-1, each in [0, n), [stop - start] int64."""
        start, stop, _ = positions.indices(self.size)
        indices = self._permute(np.arange(start, stop, dtype=np.uint64))
        while (outside := indices >= self.size).any():
            indices[outside] = self._permute(indices[outside])
        return indices.astype(np.int64)

    def _permute(self, values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        bits, mask = np.uint64(self._half_bits), np.uint64((1 << self._half_bits) - 1)
        left, right = values >> bits, values & mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right ^ np.uint64(key)) & mask)
        return (left << bits) | right


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64-bit values: the finaliser of SplitMix64 (Steele et al., 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
