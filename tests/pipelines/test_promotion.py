"""What a version in the registry says of itself."""

import os
import socket

import pytest

from goa.evaluation.measure import Measurement
from pipelines.promotion import Outcome, Promotion, model_card, who

PROMOTION = Promotion(
    outcome=Outcome.PROMOTED,
    model="goa",
    version=1,
    policy="bleu-17",
    compared_with="mle",
    reason="better",
    test_digest="0" * 64,
    time="2026-01-01T00:00:00Z",
    by="somebody@somewhere",
)


def measurement(name: str, signature: str = "nrefs:1|tok:13a") -> Measurement:
    return Measurement(
        name=name, signature=signature, higher_is_better=True, score=0.4102, low=0.39, high=None
    )


def test_a_measure_is_told_with_its_interval_and_its_recipe() -> None:
    card = model_card(PROMOTION, [measurement("bleu")])
    assert r"| bleu | 41.02 | [39.00, –] | nrefs:1\|tok:13a |" in card.splitlines()
    assert "`README.md`" in card


def test_it_fits_into_what_mlflow_has_room_for_and_cuts_no_row() -> None:
    promotion = Promotion(
        **{n: getattr(PROMOTION, n) for n in Promotion.__slots__} | {"reason": "x" * 9000}
    )
    card = model_card(promotion, [measurement(f"m{place}", "s" * 300) for place in range(40)])
    rows = [line for line in card.splitlines() if line.startswith("| m")]
    assert len(card) < 5000
    assert 1 < len(rows) < 40
    assert all(row.endswith("s |") and row.count("|") == 5 for row in rows)


@pytest.mark.parametrize("error", [KeyError("no entry for 1001"), OSError("no name")])
def test_a_user_without_a_name_is_told_by_number(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def nameless() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", nameless)
    assert who() == f"{os.getuid()}@{socket.gethostname()}"
