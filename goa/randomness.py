"""Randomness as explicit generators, each made from what it is for."""

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Derive a 64-bit seed from a base seed and the names and numbers it is for.

    Equal arguments give equal seeds on every machine; any other argument gives an unrelated one.
    """
    text = "\x1f".join([str(seed), *(f"{type(part).__name__}:{part}" for part in purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Make a NumPy generator for one purpose, such as ``generator(seed, "split")``."""
    return np.random.Generator(np.random.Philox(derive_seed(seed, *purpose)))
