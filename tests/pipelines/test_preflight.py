"""``goa preflight`` in a project whose pool has been generated."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from goa.data.pool import Candidate, write_pool
from goa.policies.policy import Policy
from pipelines.cli import app

pytestmark = pytest.mark.usefixtures("generated")


def preflight(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["preflight", *arguments], env={"COLUMNS": "80"})


def as_json(*arguments: str) -> Any:
    return json.loads(preflight(*arguments, "--json").stdout)


def test_an_evaluator_that_is_fit_is_a_go_and_exit_code_0() -> None:
    result = preflight("bleu")
    assert result.exit_code == 0, result.output
    assert "\nGO    bleu\n" in result.stdout
    assert "✗" not in result.stdout


def test_one_without_signal_is_a_no_go_and_exit_code_1() -> None:
    result = preflight("constant")
    assert result.exit_code == 1
    assert "NO-GO constant" in result.stdout
    assert "no signal: the candidates of 100% of the sources all earn the same" in result.stdout


def test_one_that_can_be_gamed_is_caught_by_a_probe() -> None:
    found = as_json("length")["evaluators"]["length"]
    assert not found["go"]
    assert any("the most frequent word over and over" in reason for reason in found["reasons"])
    assert found["findings"]["probes"]["repeated"]["mean"] == 1.0


def test_all_evaluators_are_tried_unless_some_are_named() -> None:
    found = as_json()
    assert not found["go"]
    verdicts = {name: tried["go"] for name, tried in found["evaluators"].items()}
    assert verdicts == {"bleu": True, "constant": False, "length": False}
    assert list(as_json("length", "bleu")["evaluators"]) == ["length", "bleu"]


def test_the_numbers_are_those_of_the_sampled_candidates() -> None:
    found = as_json("length", "--sources", "1")
    findings = found["evaluators"]["length"]["findings"]
    signal = findings["signal"]
    # Six words are wanted; the samples have 5, 4, 3 and 2 of them.
    values = [1.1 * words / 6 for words in (5, 4, 3, 2)]
    assert found["sources"] == 1
    assert (signal["candidates"], signal["per_source"], signal["without_reward"]) == (4, 4, 0)
    assert signal["mean"] == pytest.approx(sum(values) / 4)
    assert signal["median"] == pytest.approx((values[1] + values[2]) / 2)
    assert signal["best"] == pytest.approx(values[0])
    assert signal["headroom"] == pytest.approx(values[0] - sum(values) / 4)
    assert signal["greedy"] == pytest.approx(values[0])
    assert signal["silent"] == 0.0
    assert findings["reference"]["mean"] == 1.0


def test_the_references_tokens_are_ranked_under_the_policy(policy: Policy) -> None:
    ranks = as_json("bleu", "--sources", "1")["ranks"]
    assert ranks["tokens"] == len(policy.target_ids(["the red bird sings at night"])[0])
    assert ranks["median"] > 1


def test_rewards_have_a_price_where_the_machine_has() -> None:
    cost = as_json("bleu", "--price-per-hour", "7.2")["evaluators"]["bleu"]["findings"]["cost"]
    assert cost["price"] == pytest.approx(7.2 * cost["seconds"] / 3600)
    assert "price" in preflight("bleu", "--price-per-hour", "7.2").stdout
    assert "price" not in preflight("bleu").stdout


def test_standard_output_is_json_alone_and_what_is_being_done_goes_elsewhere() -> None:
    result = preflight("bleu", "--json")
    json.loads(result.stdout)
    assert "bleu: scoring what was written for 20 sources" in result.stderr


def test_it_fits_into_eighty_columns() -> None:
    assert max(map(len, preflight().stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("out/data/train.arrow", "prepare"),
        ("out/policies/mle", "pretrain"),
        ("out/pool.parquet", "generate"),
    ],
)
def test_a_stage_that_has_not_run_is_named(path: str, stage: str) -> None:
    Path(path).rename("elsewhere")
    result = preflight("bleu")
    assert result.exit_code == 2
    assert f"not run yet: {stage}; `goa run generate`" in result.stderr


def test_stages_that_have_not_run_are_all_named() -> None:
    Path("out").rename("elsewhere")
    assert "not run yet: prepare, pretrain, generate;" in preflight("bleu").stderr


def test_an_unknown_evaluator_is_an_error_with_the_nearest_name() -> None:
    result = preflight("blue")
    assert result.exit_code == 2
    assert "no evaluator is called 'blue'; did you mean bleu?" in result.stderr


def test_a_pool_without_several_samples_is_an_error() -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["generate"]["strategies"]["sample"] = {"kind": "beam"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    result = preflight("bleu")
    assert result.exit_code == 2
    assert "no source has two sampled candidates" in result.stderr


def test_an_empty_pool_is_an_error() -> None:
    nothing: list[Candidate] = []
    write_pool(Path("out/pool.parquet"), nothing)
    assert "no source has two sampled candidates" in preflight("bleu").stderr


def test_nothing_is_written() -> None:
    before = sorted(Path().rglob("*"))
    preflight()
    assert sorted(Path().rglob("*")) == before
