"""``goa rescore`` in a project whose pool has been generated."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from goa.data.pool import Reward, read_pool, read_rewards, write_rewards
from pipelines.cli import app
from pipelines.rescore import rescore

pytestmark = pytest.mark.usefixtures("generated")


def goa(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["rescore", *arguments], env={"COLUMNS": "80"})


def keep(name: str, *, upside_down: bool = False) -> None:
    """Write rewards of the pool as a score stage would: less for each rank, or more."""
    Path("out/rewards").mkdir(exist_ok=True)
    write_rewards(
        Path(f"out/rewards/{name}.parquet"),
        (
            Reward(
                example_id=candidate.example_id,
                strategy=candidate.strategy,
                rank=candidate.rank,
                reward=(candidate.rank if upside_down else 9 - candidate.rank) / 10,
            )
            for source in read_pool(Path("out/pool.parquet"))
            for candidate in source
        ),
    )


def test_an_evaluator_of_the_parameters_scores_the_pool() -> None:
    result = goa("length")
    assert result.exit_code == 0, result.output
    rows = {words[0]: words for line in result.stdout.splitlines() if (words := line.split())}
    assert rows["greedy"][1:3] == ["20", "0"]
    assert rows["sample"][1:3] == ["80", "0"]


def test_the_summary_is_that_of_the_score_stage() -> None:
    found = rescore("constant", None, None).summary
    assert found["sample"]["mean_reward"] == 1.0
    assert found["sample"]["silent_sources"] == 1.0
    assert "spread" not in found["greedy"]


def test_settings_from_the_command_line_need_no_place_in_the_parameters() -> None:
    result = goa("other", "--settings", "{kind: format, contains: [dog]}")
    assert result.exit_code == 0, result.output
    assert "other: rewards by strategy" in result.stdout


def test_it_is_held_against_every_file_of_rewards() -> None:
    keep("same")
    keep("opposite", upside_down=True)
    found = rescore("length", None, None).agreements
    assert list(found) == [("opposite", "sample"), ("same", "sample")]
    assert [agreement.rank_correlation for agreement in found.values()] == pytest.approx([-1, 1])
    assert [agreement.same_best for agreement in found.values()] == [0.0, 1.0]
    assert [agreement.sources for agreement in found.values()] == [20, 20]
    rows = [line.split() for line in goa("length").stdout.splitlines()]
    assert ["opposite", "sample", "-1.000", "0.0%", "20"] in rows


def test_rewards_of_another_pool_are_named_and_left_out() -> None:
    keep("same")
    stale = [Reward(example_id="0", strategy="sample", rank=0, reward=0.5)]
    write_rewards(Path("out/rewards/stale.parquet"), stale)
    Path("out/rewards/broken.parquet").write_text("no Parquet")
    result = goa("length")
    assert result.exit_code == 0
    assert "out/rewards/stale.parquet: rewards of other candidates" in result.stderr
    assert "out/rewards/broken.parquet: cannot be read" in result.stderr
    assert "same" in result.stdout


def test_nothing_is_written_but_to_the_store() -> None:
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    goa("length")
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == before
    assert [path.name for path in Path(".goa").iterdir()] == ["rewards"]


def test_rewards_are_kept_in_the_store(monkeypatch) -> None:
    goa("length")

    def fail(*_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr("goa.evaluators.length.Length.score", fail)
    assert goa("length").exit_code == 0


def test_rewards_are_written_where_told_in_the_pools_order() -> None:
    assert goa("length", "--out", "new/rewards.parquet").exit_code == 0
    sources = list(read_rewards(Path("new/rewards.parquet")))
    pool = list(read_pool(Path("out/pool.parquet")))
    assert [
        [(reward.example_id, reward.strategy, reward.rank) for reward in source]
        for source in sources
    ] == [[(found.example_id, found.strategy, found.rank) for found in source] for source in pool]
    # Five of six words.
    assert sources[0][0].reward == pytest.approx(1.1 * 5 / 6)


@pytest.mark.parametrize("out", ["out/rewards/length.parquet", "out/pool.parquet"])
def test_what_belongs_to_a_stage_is_not_written_over(out: str) -> None:
    before = Path("out/pool.parquet").read_bytes()
    result = goa("length", "--out", out)
    assert result.exit_code == 2
    assert "belongs to a stage" in result.stderr
    assert Path("out/pool.parquet").read_bytes() == before


@pytest.mark.parametrize("out", [".", "params.yaml/rewards.parquet"])
def test_a_place_where_nothing_can_be_written_is_an_error_before_scoring(out: str) -> None:
    result = goa("length", "--out", out)
    assert result.exit_code == 2
    assert not Path(".goa").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenth"], "no evaluator is called 'lenth'; did you mean length?"),
        (["x", "--settings", "{kind: lenth}"], "'lenth' is none of"),
        (["x", "--settings", "{kind: length"], "--settings: not valid YAML"),
        (["x", "--settings", "3"], "--settings: 1 problem"),
        (["mle", "--settings", "{kind: length}"], "choose another name"),
    ],
)
def test_an_evaluator_that_is_not_there_or_wrong_is_an_error(
    arguments: list[str], message: str
) -> None:
    result = goa(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_without_a_pool_there_is_nothing_to_score() -> None:
    Path("out/pool.parquet").unlink()
    result = goa("length")
    assert result.exit_code == 2
    assert "run the generate stage" in result.stderr
