"""The section data."""

import pytest
import yaml

from goa.data.settings import DataSettings
from goa.errors import SettingsError
from goa.settings import validate

PARALLEL = {"source": "train.de", "references": ["train.en"]}


def _settings(corpus: dict, **sections: dict) -> DataSettings:
    return validate(DataSettings, {"path": "raw", "corpus": corpus, **sections}, "params.yaml")


SHARES = {"validation": 0.1, "test": 0.1}


def test_the_demo_corpus_needs_no_files():
    settings = _settings({"kind": "demo", "num_examples": 100}, splits=SHARES)

    assert [settings.named(split) for split in ("train", "validation", "test")] == [
        True,
        False,
        False,
    ]


def test_one_split_may_be_a_file_and_another_be_cut():
    corpus = {"kind": "jsonl", "train": "a.jsonl", "test": "b.jsonl"}
    fields = {"source": "de", "references": ["en"]}

    settings = _settings(corpus | fields, splits={"validation": 0.1})

    assert settings.named("test")
    assert not settings.named("validation")


@pytest.mark.parametrize(
    ("corpus", "splits", "expected"),
    [
        ({"kind": "demo"}, {"test": 0.1}, "validation has no data"),
        (
            {"kind": "parallel", "train": PARALLEL, "test": {**PARALLEL, "source": "test.de"}},
            SHARES,
            "test has both its own data",
        ),
        ({"kind": "parallel", "train": PARALLEL, "test": PARALLEL}, SHARES, "the same data"),
        ({"kind": "demo"}, {"validation": 0.5, "test": 0.5}, "leave no share for train"),
        ({"kind": "demo"}, {"validation": 500, "test": 0.1}, "less than 1"),
        (
            {"kind": "parallel", "train": {"source": "a", "references": ["a"]}},
            SHARES,
            "'a' is named twice",
        ),
        (
            {"kind": "tsv", "source": 0, "references": ["en"], "header": False},
            SHARES,
            "no header",
        ),
        ({"kind": "tsv", "source": 0, "references": [0]}, SHARES, "named twice"),
        (
            {"kind": "csv", "source": 0, "references": [1], "test": "t.csv"},
            {"validation": 0.1},
            "none for train",
        ),
        (
            {"kind": "dataset", "source": "de", "references": ["en"], "test": "test"},
            {"validation": 0.1},
            "none for train",
        ),
        ({"kind": "jsonl", "source": "de", "references": []}, SHARES, "at least 1 item"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(corpus, splits, expected):
    with pytest.raises(SettingsError, match=expected):
        _settings(corpus, splits=splits)


def test_an_unknown_kind_gets_the_nearest_name():
    with pytest.raises(SettingsError, match="did you mean jsonl"):
        _settings({"kind": "json"}, splits=SHARES)


def test_the_projects_own_parameters_are_valid(request):
    content = yaml.safe_load((request.config.rootpath / "params.yaml").read_text("utf-8"))

    assert validate(DataSettings, content["data"], "params.yaml").corpus.kind == "demo"
