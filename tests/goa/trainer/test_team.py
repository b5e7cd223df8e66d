"""Two processes on the same rounds take the steps that one takes."""

import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from goa.trainer.team import Team
from tests.goa.trainer.team_member import FINETUNING

# In one process of pytest, where what was trained alone is kept.
pytestmark = pytest.mark.xdist_group("team")

PROJECT = Path(__file__).parents[3]
MEMBER = "tests.goa.trainer.team_member"
NUMBERS = (
    "loss",
    "grad_norm",
    "kl",
    "entropy",
    "nll",
    "reward",
    "value_error",
    "validation_loss",
    "validation_reward",
    "validation_length",
    "validation_long",
)
BOUND = 1e-6
"""Sums over two processes are added up in another order; candidates' log-probs are float32."""


def train(size: int, what: str, folder: Path, *flags: str) -> list[dict[str, Any]]:
    """Train in so many processes, and give what each one ended with."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    shared = {
        "PYTHONPATH": str(PROJECT),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
    }
    name = "-".join([what, *flags, str(size)])
    outs = [folder / f"{name}-{rank}.json" for rank in range(size)]
    environment = {name: value for name, value in os.environ.items() if "OMP_" not in name}
    team = [
        subprocess.Popen(
            [sys.executable, "-m", MEMBER, what, str(size), str(out), *flags],
            cwd=PROJECT,
            env=environment | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, out in enumerate(outs)
    ]
    try:
        for member in team:
            _, said = member.communicate(timeout=120)
            assert member.returncode == 0, said
    finally:
        for member in team:
            member.kill()  # one that waits for another that failed
            member.communicate()
    return [json.loads(out.read_text()) for out in outs]


@functools.cache
def train_alone(what: str) -> dict[str, Any]:
    """Train in one process, once for all that are held against it."""
    with tempfile.TemporaryDirectory() as folder:
        (alone,) = train(1, what, Path(folder))
    return alone


BY_SHARE = ("perturbation", "resampling")
"""What draws for each process's own share: who is perturbed, who comes for silent sources."""
TRAINED = ["likelihood", *FINETUNING]
ALIKE = [what for what in FINETUNING if what not in ("ppo", *BY_SHARE)]


@pytest.mark.parametrize(
    "what",
    ["ppo", *(pytest.param(what, marks=pytest.mark.long) for what in ("likelihood", *ALIKE))],
)
def test_one_and_two_processes_end_alike(what: str, tmp_path: Path) -> None:
    first, second = train(2, what, tmp_path)
    check(train_alone(what), first, second)


@pytest.mark.parametrize(
    "what",
    [
        "ppo",
        pytest.param("likelihood", marks=pytest.mark.long),
        pytest.param("mrt", marks=pytest.mark.long),
        pytest.param("adapter", marks=pytest.mark.long),
    ],
)
def test_sharded_weights_end_as_whole_ones_and_go_on_from_a_checkpoint(
    what: str, tmp_path: Path
) -> None:
    first, second = train(2, what, tmp_path, "fsdp")
    check(train_alone(what), first, second)
    assert first["largest_share"] == pytest.approx(0.5, abs=0.01)
    assert first["resumed"] == first["weights"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("what", TRAINED)
def test_a_gpu_ends_as_a_cpu(what: str, tmp_path: Path) -> None:
    (on_gpu,) = train(1, what, tmp_path, "cuda")
    assert on_gpu["weights"] == pytest.approx(train_alone(what)["weights"], abs=BOUND)


@pytest.mark.parametrize(
    "what",
    ["ppo", *(pytest.param(what, marks=pytest.mark.long) for what in TRAINED if what != "ppo")],
)
def test_another_device_ends_as_a_cpu(what: str, tmp_path: Path) -> None:
    (elsewhere,) = train(1, what, tmp_path, "away")
    assert elsewhere["weights"] == pytest.approx(train_alone(what)["weights"], abs=BOUND)
    assert elsewhere["outputs"] == train_alone(what)["outputs"]


def test_alone_the_largest_number_is_one_s_own() -> None:
    assert Team().most(3) == 3


def test_weights_that_no_process_has_a_gradient_of_stay_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The other process brings what this one does.
    monkeypatch.setattr("accelerate.utils.reduce", lambda values, _: 2 * values)
    state = SimpleNamespace(process_index=0, num_processes=2, device=torch.device("cpu"))
    known, unknown = (torch.ones(2, requires_grad=True) for _ in range(2))
    known.grad = torch.tensor([1.0, 2.0])
    Team(state).add_gradients([unknown, known])
    assert known.grad.tolist() == [2.0, 4.0]
    assert unknown.grad is None


def check(alone: dict[str, Any], first: dict[str, Any], second: dict[str, Any]) -> None:
    """Check that two processes end as one does."""
    assert first["weights"] == second["weights"]  # to the last bit: they never drift apart
    assert first["rows"] == second["rows"]
    assert first["outputs"] == second["outputs"] == alone["outputs"]
    assert (
        max(
            abs(weight - moved)
            for weight, moved in zip(alone["weights"], alone["start"], strict=True)
        )
        > 1e-3
    )
    assert first["weights"] == pytest.approx(alone["weights"], abs=BOUND)
    for ours, theirs in zip(first["rows"], alone["rows"], strict=True):
        for name in NUMBERS:
            if name in theirs:
                assert ours[name] == pytest.approx(theirs[name], rel=1e-5, abs=1e-7), name
    assert first["threads"] == second["threads"] == 2  # as was set before they met
    # Only the first process saves.
    assert (first["saved"], second["saved"]) == (True, False)
