"""Dialogues of chatterbot-corpus: which turn answers which, and the file that is made."""

import json
from pathlib import Path

import yaml

from experiments.dialogue import exchanges, make


def test_each_turn_is_answered_by_the_next() -> None:
    said = [["Hello", "Hi", "How  are\nyou?"], ["alone"], ["What is 2?", 2], ["?", ""]]
    assert exchanges(said) == [("Hello", "Hi"), ("Hi", "How are you?"), ("What is 2?", "2")]


def test_what_is_said_twice_has_all_answers_once_each(tmp_path: Path) -> None:
    for name, turns in {
        "b": [["Hi", "Hello"], ["Hi", "Hey"]],
        "a": [["Hi", "Hello"], ["Yes", "No"]],
    }.items():
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump({"conversations": turns}))
    make([tmp_path / "b.yml", tmp_path / "a.yml"], tmp_path / "made")
    lines = (tmp_path / "made/dialogue.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"source": "Hi", "references": ["Hello", "Hey"]},
        {"source": "Yes", "references": ["No"]},
    ]
