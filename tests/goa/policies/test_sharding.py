"""Weights in parts; what a team makes of them is tested with the trainer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed

from goa.policies.policy import Policy
from goa.policies.sharding import is_sharded


@pytest.fixture
def team_of_one(tmp_path: Path) -> Iterator[None]:
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("team_of_one")
def test_who_asks_for_whole_weights_twice_has_them_until_the_outer_end(policy: Policy) -> None:
    def parts() -> set[bool]:
        return {is_sharded(weight) for weight in policy.model.parameters()}

    policy.shard(torch.device("cpu"), 1)
    assert parts() == {True}
    with policy.whole():
        with policy.whole():
            assert parts() == {False}
        assert parts() == {False}
        assert policy.shards is not None
        assert policy.shards._is_whole
    assert not policy.shards._is_whole
