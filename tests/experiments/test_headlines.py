"""Headlines of Multi30k: what the rule leaves of a sentence, and the files it makes."""

import gzip
from pathlib import Path

import pytest

from experiments.headlines import SPLITS, headline, make


@pytest.mark.parametrize(
    ("sentence", "gist"),
    [
        (
            "A man in a red shirt is playing the guitar, while two dogs sleep.",
            "man in red shirt playing guitar",
        ),
        ("Two young, White males are outside near many bushes.",
         "two young white males outside near many bushes"),
        ("A trendy girl talking on her cellphone while gliding slowly down the street.",
         "trendy girl talking on cellphone"),
        ("A b c d e f g h i j", "b c d e f g h i"),
        ("Dogs of my friend run on the grass in a park", "dogs of my friend run on grass"),
        ("It's a dog's life.", "it's dog's life"),
        ("There is.", ""),
    ],
)  # fmt: skip
def test_asides_and_fillers_are_left_out(sentence: str, gist: str) -> None:
    assert headline(sentence) == gist


@pytest.fixture
def multi30k(tmp_path: Path) -> Path:
    folder = tmp_path / "multi30k"
    folder.mkdir()
    for theirs in SPLITS.values():
        for end, text in {
            "de": "Ein Hund.\nDa.\nZwei Männer \n",
            "en": "A dog.\nThe.\nTwo men\n",
        }.items():
            (folder / f"{theirs}.{end}.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def test_lines_stay_beside_one_another_and_an_empty_headline_has_none(
    multi30k: Path, tmp_path: Path
) -> None:
    make(multi30k, tmp_path / "made")
    for name in SPLITS:
        german, english = (
            gzip.decompress((tmp_path / f"made/{name}.{end}.gz").read_bytes()).decode()
            for end in ("de", "en")
        )
        assert (german, english) == ("ein hund.\nzwei männer\n", "dog\ntwo men\n")


def test_the_same_files_in_give_the_same_files_out(multi30k: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make(multi30k, tmp_path / name)
    made = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    ]
    assert made[0] == made[1]
    assert all(content[4:8] == bytes(4) for content in made[0].values())  # gzip's field of the time
