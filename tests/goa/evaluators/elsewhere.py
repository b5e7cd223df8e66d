"""Evaluators on a device that is no CPU; test_elsewhere.py runs this in a process of its own."""

from pathlib import Path

import pytest
import torch

from goa.evaluators import text_model
from goa.evaluators.bertscore import BertscoreSettings
from goa.evaluators.classifier import ClassifierSettings
from tests import away

ROUNDING = 1e-6


@pytest.mark.parametrize("kind", ["classifier", "pairs", "bertscore"])
def test_scores_are_those_of_a_cpu(
    kind: str,
    save_classifier,
    save_bert,
    samples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = {"model": str(tmp_path), "batch_size": 4}
    if kind == "bertscore":
        save_bert(tmp_path)
        settings = BertscoreSettings(**shared, num_layers=1)
    else:
        save_classifier(tmp_path)
        reads = "candidate_with_source" if kind == "pairs" else "candidate"
        settings = ClassifierSettings(**shared, label="good", reads=reads)
    here = settings.build("here").score(samples).values
    monkeypatch.setattr(text_model, "choose_device", lambda _: away.DEVICE)
    # The stand-in's tensors are none that inference mode knows.
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    away.waited.clear()
    there = settings.build("there").score(samples).values
    assert away.waited
    assert there == pytest.approx(here, abs=ROUNDING)
    assert len(set(here)) > 3
