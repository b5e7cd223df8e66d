"""What is taken of a pretrained model, and where it is run."""

import pytest
from huggingface_hub.utils import filter_repo_objects

from goa.evaluators.pretrained import PretrainedSettings, choose_device, find_pretrained


def test_neither_pickles_nor_code_are_downloaded(monkeypatch, tmp_path) -> None:
    (tmp_path / "model.safetensors").touch()
    there = [
        "model.safetensors",
        "1_Dense/model.safetensors",
        "config.json",
        "vocab.txt",
        "spiece.model",
        "onnx/config.json",
        "openvino/openvino_config.json",
        "coreml/vocab.txt",
        "pytorch_model.bin",
        "tf_model.h5",
        "modeling_own.py",
    ]
    fetched: list[str] = []

    def download(name, *, revision, **patterns) -> str:
        assert (name, revision) == ("someone/something", "v1")
        fetched.extend(filter_repo_objects(there, **patterns))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    find_pretrained("c", PretrainedSettings(model="someone/something", revision="v1"))
    assert fetched == there[:5]


@pytest.mark.parametrize(
    ("device", "has_gpu", "expected"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu")],
)
def test_a_gpu_is_taken_where_there_is_one(monkeypatch, device, has_gpu, expected) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    assert choose_device(PretrainedSettings(model="m", device=device)).type == expected
