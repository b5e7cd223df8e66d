"""The stage prepare, as DVC runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from transformers import AutoTokenizer

from goa.data.corpus import open_split
from pipelines.prepare import main

PARAMS = {
    "seed": 1,
    "data": {
        "path": "raw",
        "corpus": {"kind": "demo", "num_examples": 60},
        "splits": {"validation": 0.2, "test": 0.2},
    },
    "policy": {"kind": "scratch", "vocab_size": 200},
}
STAGE = {
    "cmd": "python -m pipelines.prepare",
    "deps": ["raw"],
    "params": ["seed", "data", "policy"],
    "outs": ["out/data", "out/tokenizer"],
}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Make a project whose graph is one stage."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"prepare": STAGE}}), "utf-8")
    _write_params(PARAMS)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], check=True)
    return tmp_path


def _write_params(params: dict) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params), "utf-8")


def _with_corpus(**corpus: object) -> dict:
    return {**PARAMS, "data": {**PARAMS["data"], "corpus": corpus}}


def test_splits_tokenizer_and_metrics_are_written(project):
    main()

    sizes = {
        name: len(open_split(project / "out/data", name))
        for name in ("train", "validation", "test")
    }
    metrics = json.loads((project / "metrics/prepare.json").read_text("utf-8"))
    assert sum(sizes.values()) == 60
    assert {name: metrics[name]["kept"] for name in sizes} == sizes


def test_the_tokenizer_knows_both_sides_of_the_training_pairs(project):
    main()

    tokenizer = AutoTokenizer.from_pretrained(project / "out/tokenizer")
    example = open_split(project / "out/data", "train")[0]
    for text in (example.source, *example.references):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_the_same_parameters_give_the_same_bytes(project):
    contents = []
    for _ in range(2):
        main()
        files = sorted(path for path in (project / "out").rglob("*") if path.is_file())
        contents.append([path.read_bytes() for path in files])

    assert contents[0] == contents[1]


def test_bad_data_end_in_one_message_and_leave_what_was_there(project, capsys):
    main()
    before = (project / "out/data/train.arrow").read_bytes()
    (project / "raw/a.jsonl").write_text('{"de": "a", "en": "b"}\n{"de": "a"}\n', "utf-8")
    corpus = {"kind": "jsonl", "train": "a.jsonl", "source": "de", "references": ["en"]}
    _write_params(_with_corpus(**corpus))

    with pytest.raises(SystemExit) as stop:
        main()

    assert stop.value.code == 2
    assert "raw/a.jsonl, line 2: no field 'en'" in capsys.readouterr().err
    assert (project / "out/data/train.arrow").read_bytes() == before


def test_bad_settings_are_all_named_at_once(project, capsys):
    params = _with_corpus(kind="demo", num_examples=1)
    params["policy"] = {"kind": "scratch", "vocab_sise": 200}
    _write_params(params)

    with pytest.raises(SystemExit):
        main()

    message = capsys.readouterr().err
    assert "num_examples" in message
    assert "vocab_size" in message
