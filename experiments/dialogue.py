"""What is said and what is answered, from the package chatterbot-corpus (BSD licence).

    pip install chatterbot-corpus==1.3.3
    python experiments/dialogue.py data/dialogue

Its English part, read from where pip put it: 2,400 turns and their answers that people wrote for a
chat program, most of them one question and one answer. It is no record of people who talk.
"""

import argparse
import json
from importlib.metadata import files
from itertools import pairwise
from pathlib import Path

import yaml

FOLDER = "chatterbot_corpus/data/english/"


def exchanges(conversations: list[list[object]]) -> list[tuple[str, str]]:
    """Pair each turn with the one that answers it."""
    said = [[" ".join(str(turn).split()) for turn in turns] for turns in conversations]
    return [pair for turns in said for pair in pairwise(turns) if all(pair)]


def make(corpus: list[Path], folder: Path) -> None:
    """Write a line for each thing said, with all answers that it has anywhere in the corpus."""
    answers: dict[str, list[str]] = {}
    for path in sorted(corpus):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for said, answer in exchanges(content["conversations"]):
            found = answers.setdefault(said, [])
            if answer not in found:
                found.append(answer)
    lines = [
        json.dumps({"source": said, "references": found}, ensure_ascii=False)
        for said, found in answers.items()
    ]
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    (folder / "dialogue.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the dialogues of chatterbot-corpus.")
    parser.add_argument("folder", type=Path, help="where to write")
    given = parser.parse_args()
    found = [path for path in files("chatterbot-corpus") or [] if str(path).startswith(FOLDER)]
    make([Path(str(path.locate())) for path in found if path.suffix == ".yml"], given.folder)
