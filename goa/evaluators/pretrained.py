"""Pretrained models that evaluators rest on: where they lie, and which they are."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from goa.errors import EvaluatorError, first_line
from goa.evaluators.contract import describe
from goa.settings import Settings

if TYPE_CHECKING:
    import torch

_FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
"""What a model's scores follow from: weights, configurations, vocabularies."""
_OTHER_FORMATS = ("onnx/*", "openvino/*", "coreml/*")


class PretrainedSettings(Settings):
    """A pretrained model, and how it is run."""

    model: str = Field(min_length=1)
    """A folder, or a name on the hub; safetensors weights only, and no code from elsewhere."""
    revision: str | None = Field(default=None, min_length=1)
    """The hub's commit, tag or branch; null takes the newest."""
    batch_size: int = Field(default=32, ge=1, le=4096)
    """Texts, or pairs of texts, read at once."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU that torch uses by default, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretrained:
    """A model on this machine."""

    folder: Path
    """Its files, in transformers' layout."""
    identity: str
    """Its name and a digest of its files' contents, or the hub's commit; no path."""


def find_pretrained(who: str, settings: PretrainedSettings) -> Pretrained:
    """Find a model's folder, downloading what the hub's cache has not.

    Args:
        who: the name of the evaluator that needs it, for messages.
        settings: which model.

    Raises:
        EvaluatorError: there is no such model, or its weights are not all safetensors.
    """
    folder = Path(settings.model)
    if folder.is_dir():
        _check_weights(who, folder)
        return Pretrained(folder=folder, identity=f"{folder.resolve().name}@{_digest(folder)}")
    # Here, not above, as in the rest of this file: checking settings should be fast.
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError  # noqa: PLC0415

    try:
        found = snapshot_download(
            settings.model,
            revision=settings.revision,
            allow_patterns=list(_FILES),
            ignore_patterns=list(_OTHER_FORMATS),
        )
    except (OSError, ValueError, HFValidationError, HfHubHTTPError) as error:
        raise EvaluatorError(
            f"evaluator {who}: {settings.model}: neither a folder here nor a model that can be had "
            f"from the hub or its cache: {first_line(error)}; correct `model`, or save the model "
            "into a folder with save_pretrained and name that"
        ) from None
    snapshot = Path(found)
    _check_weights(who, snapshot)
    # The hub's cache calls a snapshot's folder by its commit.
    return Pretrained(folder=snapshot, identity=f"{settings.model}@{snapshot.name}")


def describe_pretrained(settings: PretrainedSettings, found: Pretrained, *libraries: str) -> str:
    """Write a signature in which the model stands by its identity."""
    update = {"model": found.identity}
    return describe(settings.model_copy(update=update), "goa", "torch", *libraries)


def choose_device(settings: PretrainedSettings) -> "torch.device":
    """Choose where a model is run."""
    import torch  # noqa: PLC0415

    on_gpu = settings.device == "auto" and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")


def clean(text: str) -> str:
    """Replace lone surrogates, which no tokenizer reads."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _check_weights(who: str, folder: Path) -> None:
    if not any(folder.rglob("*.safetensors")):
        raise EvaluatorError(
            f"evaluator {who}: {folder}: no safetensors weights in this folder; save the model "
            "there with save_pretrained"
        )
    # A model of several modules may have some of either kind.
    for path in sorted(folder.rglob("pytorch_model*.bin")):
        if not any(path.parent.glob("*.safetensors")):
            raise EvaluatorError(
                f"evaluator {who}: {path}: a pickle, which goa does not open, and no safetensors "
                "beside it; where you trust it, save the model once more with save_pretrained"
            )


def _digest(folder: Path) -> str:
    """Hash names and contents of all that scores follow from."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _FILES for path in folder.rglob(pattern)}):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\n{content}\n".encode())
    return f"sha256-{digest.hexdigest()[:16]}"
