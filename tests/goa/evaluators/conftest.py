"""Samples to score, hand-made and real."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from goa.records import Example, Sample

MULTI30K = Path(__file__).parents[4] / "shared" / "data" / "multi30k"

SENTENCES = [
    ("A man rides a horse .", ["A man is riding a horse .", "Someone rides a brown horse ."]),
    ("the the the the", ["the cat is on the mat"]),
    ("Two dogs play.", ["Two dogs play."]),
    ("TWO DOGS PLAY!", ["two dogs play!", "Dogs, two of them, are playing!", "Play, dogs!"]),
    ("It wasn't bad, it's 3.5 stars & more", ['She said: "it was not bad", 3.5 stars and more']),
    ("a", ["a much longer reference than the candidate ever was"]),
    ("a candidate that goes on for much longer than what was asked for", ["short"]),
    ("on the mat the cat sat", ["the cat sat on the mat"]),
    ("", ["nothing was written"]),
    ("something was written", [""]),
    ("   ", ["only spaces"]),
    ("我们今天去公园", ["我们今天去了公园。", "今天我们去公园"]),
    ("مرحبا بالعالم", ["مرحبا بكم في العالم"]),
    ("good 😀 day", ["good 😀😀 day"]),
    ("line\nafter\tline", ["line after line"]),
    ("walking walked walks\ngenerously", ["he walks and walked\nwith generosity\nwalking"]),
]
"""(candidate, references): equal, longer, shorter, empty, several references, other scripts."""


def _sample(candidate: str, *references: str, source: str = "", key: str = "1") -> Sample:
    example = Example(id=key, source=source, references=references)
    return Sample(example=example, candidate=candidate)


@pytest.fixture(scope="session")
def make_sample() -> Callable[..., Sample]:
    return _sample


@pytest.fixture(scope="session")
def samples() -> list[Sample]:
    return [
        _sample(candidate, *references, source="a source", key=str(row))
        for row, (candidate, references) in enumerate(SENTENCES)
    ]


@pytest.fixture(scope="session")
def real_samples() -> list[Sample]:
    """Give captions spoilt a little, beside the captions they were made of."""
    path = MULTI30K / "val.en.gz"
    if not path.exists():
        pytest.skip("Multi30k is not there")
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()[:200]
    rng = random.Random(7)
    return [
        _sample(_spoil(line, rng), line, *rng.sample(lines, row % 3), key=str(row))
        for row, line in enumerate(lines)
    ]


def _spoil(line: str, rng: random.Random) -> str:
    words = [word for word in line.split() if rng.random() > 0.1]
    for _ in range(rng.randint(0, 3)):
        words.insert(rng.randint(0, len(words)), rng.choice(line.split()))
    if words and rng.random() < 0.5:
        words.append(words.pop(0))
    return " ".join(words)
