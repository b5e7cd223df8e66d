"""Adapters: a few trained weights beside a model that stays as it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field
from safetensors import SafetensorError

from goa.errors import PolicyError, first_line
from goa.randomness import torch_draws
from goa.settings import Settings

if TYPE_CHECKING:
    from goa.policies.policy import Policy

ADAPTER_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_PICKLES = ("bin", "ckpt", "pkl", "pt", "pth")


class AdapterSettings(Settings):
    """Low-rank adapters (LoRA; Hu et al., 2022) by peft; the model's own weights stay frozen."""

    rank: int = Field(8, ge=1, le=4096)
    """Of the two factors that stand for each changed matrix."""
    alpha: float = Field(16.0, gt=0.0)
    """The change counts alpha / rank times."""
    targets: list[str] | None = None
    """Names, or ends of names, of the modules that are adapted; none named means every linear
    module but the output layer."""
    save: Literal["merged", "alone"] = "merged"
    """merged: a whole model, which plain transformers load; alone: the adapter, a small file that
    needs the pretrained policy beside it, and is not logged as a model of its own in MLflow."""


def add_adapter(policy: "Policy", settings: AdapterSettings, seed: int) -> None:
    """Put an adapter into a policy, which changes nothing as yet; from now on only it is trained.

    Raises:
        PolicyError: peft is not installed, or no module has a name that is asked for.
    """
    peft = _peft()
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=settings.targets or "all-linear",
    )
    with torch_draws(seed, "adapter"):
        try:
            policy.adapter = peft.get_peft_model(policy.model, config)
        except ValueError as error:
            raise PolicyError(f"finetune.adapter: {first_line(error)}") from None
    policy.model.eval()


def merge_adapter(policy: "Policy") -> None:
    """Add the adapter's change to the model's own weights; then there is no adapter any more."""
    policy.adapter.merge_and_unload()
    policy.adapter = None


def load_adapter(model: Any, folder: Path) -> Any:
    """Put a saved adapter into the model it was trained beside, and give it.

    Raises:
        PolicyError: peft is not installed, the adapter does not fit, or its weights are no
            safetensors.
    """
    # peft would take adapter_model.bin else.
    if not (folder / WEIGHTS_FILE).is_file():
        raise PolicyError(f"{folder}: an adapter without {WEIGHTS_FILE}{about_pickles(folder)}")
    try:
        return _peft().PeftModel.from_pretrained(model, str(folder))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise PolicyError(f"{folder}: not an adapter of this model: {first_line(error)}") from None


def about_pickles(folder: Path) -> str:
    """Say, of a folder whose weights were not found, that it has them in a form that goa refuses.

    A pickle runs whatever code its author put into it.
    """
    names = sorted(path.name for kind in _PICKLES for path in folder.glob(f"*.{kind}"))
    if not names:
        return ""
    return (
        f"; {names[0]} is a pickle, which goa does not open: where you trust it, save the model "
        "once more, with save_pretrained, as safetensors"
    )


def base_of(folder: Path) -> str | None:
    """Name the model that the adapter in a folder needs; None: there is no adapter in it.

    Raises:
        PolicyError: the adapter does not say.
    """
    if not (folder / ADAPTER_FILE).exists():
        return None
    try:
        config = _peft().PeftConfig.from_pretrained(str(folder))
    except (ValueError, TypeError, KeyError) as error:
        raise PolicyError(f"{folder / ADAPTER_FILE}: {first_line(error)}") from None
    if not config.base_model_name_or_path:
        raise PolicyError(f"{folder / ADAPTER_FILE}: names no base model")
    return str(config.base_model_name_or_path)


def _peft() -> Any:
    try:
        import peft  # noqa: PLC0415 - an extra; and it takes a second to import
    except ImportError:
        raise PolicyError("adapters need peft: pip install 'goa[peft]'") from None
    return peft
