"""Which stages are up to date."""

from pipelines.stage_graph import StageDefinition, StageGraph
from pipelines.status import StageStatus, all_statuses


def test_what_needs_a_stale_stage_follows_unless_it_is_stale_itself() -> None:
    names = ("prepare", "pretrain", "evaluate", "generate", "compare")
    stages = {
        name: StageDefinition(name=name, cmd="", dependencies=(), params={}, outputs=())
        for name in names
    }
    parents = {
        "prepare": frozenset[str](),
        "pretrain": frozenset({"prepare"}),
        "evaluate": frozenset({"pretrain"}),
        "generate": frozenset({"prepare", "pretrain"}),
        "compare": frozenset({"prepare", "evaluate", "generate"}),
    }
    stale = {"pretrain": ("params.yaml: seed modified",), "generate": ("never run",)}
    assert all_statuses(StageGraph(stages=stages, parents=parents), stale) == [
        StageStatus(name="prepare", state="up to date", reasons=()),
        StageStatus(name="pretrain", state="stale", reasons=("params.yaml: seed modified",)),
        StageStatus(name="evaluate", state="follows", reasons=("pretrain",)),
        StageStatus(name="generate", state="stale", reasons=("never run",)),
        StageStatus(name="compare", state="follows", reasons=("evaluate", "generate")),
    ]
