"""``goa score``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipelines.cli import app

CANDIDATES = ["A man rides a horse .", "two dogs play", "", "It's 3.5 stars & more"]
REFERENCES = ["A man is riding a horse .", "Two dogs play.", "nothing", "it is 3.5 stars, and more"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, lines in (("hyp.txt", CANDIDATES), ("ref.txt", REFERENCES)):
        Path(name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def score(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["score", *arguments])


def measures(*arguments: str) -> dict[str, dict[str, object]]:
    result = score(*arguments, "-c", "hyp.txt", "-r", "ref.txt", "--json")
    assert result.exit_code == 0, result.output
    return {each["name"]: each for each in json.loads(result.stdout)["measures"]}


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("kind", ["bleu", "chrf", "ter"])
def test_scores_are_those_of_sacrebleus_own_command_line(kind: str) -> None:
    command = [sys.executable, "-m", "sacrebleu", "ref.txt", "-i", "hyp.txt", "-m", kind]
    theirs = subprocess.run(
        [*command, "-b", "-w", "8"], capture_output=True, text=True, check=True
    ).stdout
    expected = float(theirs) / 100
    found = measures("-e", kind)[kind]["score"]
    assert found == pytest.approx(1 - expected if kind == "ter" else expected, abs=1e-9)


@pytest.mark.usefixtures("files")
def test_every_score_has_its_interval_and_its_signature() -> None:
    result = score("-e", "bleu", "-e", "length_ratio", "-c", "hyp.txt", "-r", "ref.txt")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("bleu  ")
    assert lines[0].endswith("95%")
    assert lines[1].startswith("    BLEU|nrefs:var|")
    assert lines[2].startswith("length_ratio  ")
    assert lines[-1] == "4 candidates, 1,000 bootstrap resamples"


@pytest.mark.usefixtures("files")
def test_settings_can_be_given_in_braces() -> None:
    found = measures("-e", "{kind: rouge, variant: rouge2}")["rouge"]
    assert str(found["signature"]).startswith("rouge|variant:rouge2|")


@pytest.mark.usefixtures("files")
def test_the_scores_of_each_candidate_can_be_written() -> None:
    measures("-e", "bleu", "-e", "sentiment_consistency", "--each", "each.jsonl")
    rows = [json.loads(line) for line in Path("each.jsonl").read_text().splitlines()]
    assert [row["candidate"] for row in rows] == CANDIDATES
    assert rows[2]["scores"] == {"bleu": 0.0, "sentiment_consistency": None}
    assert 0 < rows[0]["scores"]["bleu"] < 1


@pytest.mark.usefixtures("files")
def test_scores_that_cannot_be_written_say_why() -> None:
    options = ["-e", "bleu", "-c", "hyp.txt", "-r", "ref.txt", "--each", "nowhere/each.jsonl"]
    result = score(*options)
    assert result.exit_code == 2
    assert "nowhere/each.jsonl: cannot be written: No such file" in result.output


@pytest.mark.usefixtures("files")
def test_an_empty_file_has_no_candidates() -> None:
    Path("none.txt").write_text("")
    result = score("-e", "bleu", "-c", "none.txt", "-r", "none.txt")
    assert result.exit_code == 2
    assert "none.txt: the file is empty" in result.output


def test_what_applies_to_no_candidate_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("c.txt", "r.txt"):
        Path(name).write_text("the table is in the room\n")
    result = score("-e", "sentiment_consistency", "-c", "c.txt", "-r", "r.txt")
    assert result.stdout.startswith("sentiment_consistency  does not apply to any of these samples")


@pytest.mark.usefixtures("files")
def test_names_are_those_of_params_and_scores_are_kept(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    text = (root / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text, encoding="utf-8")
    assert set(measures("-e", "rougeL", "-e", "chrf")) == {"rougeL", "chrf"}
    assert list((tmp_path / ".goa" / "rewards").glob("*.sqlite"))
    result = score("-e", "rougeX", "-c", "hyp.txt", "-r", "ref.txt")
    assert result.exit_code == 2
    assert "params.yaml names bleu" in result.output


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        ("blue", "did you mean bleu"),
        ("{kind: bleu, max_ordr: 2}", "did you mean max_order"),
        ("{kind: [", "not valid YAML"),
        ("{}", "kind"),
    ],
)
def test_what_no_evaluator_is_ends_with_a_message(evaluator: str, message: str) -> None:
    result = score("-e", evaluator, "-c", "hyp.txt", "-r", "ref.txt")
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output
