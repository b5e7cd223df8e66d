"""How a graph is cut for several machines."""

from pathlib import Path

import pytest

from pipelines.fan_out import branches
from pipelines.graph import StageDefinition, StageGraph, read_graph

ROOT = Path(__file__).parents[2]


def graph(**parents: str) -> StageGraph:
    """Make a graph from what each stage needs, stages in running order."""
    stages = {
        name: StageDefinition(name=name, cmd="", dependencies=(), params={}, outputs=())
        for name in parents
    }
    needs = {name: frozenset(needed.split()) for name, needed in parents.items()}
    return StageGraph(stages=stages, parents=needs)


@pytest.fixture(scope="module")
def real() -> tuple[StageGraph, list[str], list[str]]:
    """Cut the graph of dvc.yaml itself."""
    found = read_graph(ROOT)
    return found, *branches(found)


def test_what_several_need_is_the_trunk_and_the_rest_a_branch_each() -> None:
    cut = graph(data="", mle="data", a="mle", b="mle", compare="a b")
    assert branches(cut) == (["mle"], ["a", "b"])


def test_a_branch_of_several_stages_is_one_although_the_last_stage_reads_them_all() -> None:
    cut = graph(
        mle="", tune_a="mle", tune_b="mle", a="tune_a", b="tune_b", compare="mle a b tune_a tune_b"
    )
    assert branches(cut) == (["mle"], ["a", "b"])


def test_where_nothing_is_shared_there_is_no_trunk() -> None:
    assert branches(graph(a="", b="", compare="a b")) == ([], ["a", "b"])


def test_a_single_branch_is_given_away_whole() -> None:
    assert branches(graph(data="", a="data", compare="a")) == ([], ["a"])


def test_policies_are_fine_tuned_apart(real) -> None:
    whole, trunk, ends = real
    shared = set(whole.select(trunk))
    tuned = [name for name in whole.stages if name.startswith("finetune@")]
    assert shared.isdisjoint(tuned)
    own = [set(whole.select([end])) - shared for end in ends]
    assert sorted(sum(name in branch for branch in own) for name in tuned) == [1] * len(tuned)


def test_nothing_but_the_comparison_is_left_to_whoever_shared_the_work_out(real) -> None:
    whole, _, ends = real
    assert set(whole.stages) - set(whole.select(ends)) == {"compare"}
