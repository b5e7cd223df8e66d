"""A policy as an MLflow model: this file is logged beside the weights, and goa with it.

What is served is therefore written by the code of `goa generate`, as it was when the model was
logged, wherever the model's requirements are installed: goa itself need not be. ``predict`` takes
texts and the parameters of :data:`DEFAULTS`.
"""

import logging
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

import goa
from goa.decoding.generation import generate
from goa.decoding.settings import BeamSettings, GreedySettings
from goa.errors import GoaError
from goa.policies.compute import use_device
from goa.policies.settings import ComputeSettings
from goa.policies.storage import load_policy
from goa.settings import validate

STRATEGIES: dict[str, type[BeamSettings | GreedySettings]] = {
    "beam": BeamSettings,
    "greedy": GreedySettings,
}
_BEAM = BeamSettings(kind="beam")
DEFAULTS: dict[str, tuple[DataType, Any]] = {
    "strategy": (DataType.string, _BEAM.kind),
    "num_beams": (DataType.long, _BEAM.num_beams),
    "length_penalty": (DataType.double, _BEAM.length_penalty),
    "max_tokens": (DataType.long, _BEAM.max_tokens),
}
"""Parameters of ``predict``: type and default."""
INPUT_EXAMPLE = ["name [Alma] food [Thai] rating [high]"]
PACKAGES = (
    *("mlflow", "numpy", "pandas", "pydantic", "PyYAML", "safetensors", "tokenizers", "torch"),
    "transformers",
)
SOURCES_PER_BATCH = 32
"""As `goa generate` has it: the rounding of a batch is the same, too."""


class ServedPolicy(PythonModel):  # type: ignore[misc]
    """Writes one text for each source."""

    def load_context(self, context: Any) -> None:
        """Load model and tokenizer: safetensors only, no code from elsewhere."""
        _refuse_unknown_params()
        device = use_device(ComputeSettings(), torch.get_num_threads())
        self.policy = load_policy(Path(context.artifacts["policy"]), device)

    # The hint must be the data frame that MLflow hands over: any other replaces our signature.
    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[str]:
        """Write texts for the first column of sources.

        Raises:
            MlflowException: a source or a parameter cannot be used.
        """
        sources = [str(source) for source in model_input.iloc[:, 0]]
        texts: list[str] = []
        try:
            strategy = _strategy(params or {})
            for start in range(0, len(sources), SOURCES_PER_BATCH):
                batch = sources[start : start + SOURCES_PER_BATCH]
                tokens = self.policy.tokenize_sources(batch)
                # Nothing is drawn: neither seed nor names of sources matter.
                written = generate(self.policy, tokens, strategy, seed=0, keys=batch)
                texts += [candidates[0] for candidates in written.texts]
        except GoaError as error:
            raise _refusal(str(error)) from None
        return texts


def packages() -> tuple[Path, ...]:
    """Name the folders of code that a served model needs beside this file."""
    return (Path(goa.__file__).parent,)


def signature() -> ModelSignature:
    """Describe inputs, outputs and parameters with their defaults."""
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        outputs=Schema([ColSpec(DataType.string)]),
        params=ParamSchema(
            [ParamSpec(name, kind, default) for name, (kind, default) in DEFAULTS.items()]
        ),
    )


def requirements() -> tuple[str, ...]:
    """Pin the installed packages, without the build tag that only some indexes have."""
    versions = {name: metadata.version(name).partition("+")[0] for name in PACKAGES}
    return tuple(f"{name}=={version}" for name, version in versions.items())


def _strategy(params: dict[str, Any]) -> BeamSettings | GreedySettings:
    """Fill in the defaults and refuse what cannot be used."""
    if unknown := params.keys() - DEFAULTS.keys():
        raise _refusal(f"unknown parameter {min(unknown)!r}; known: {', '.join(DEFAULTS)}")
    given = {name: params.get(name, default) for name, (_, default) in DEFAULTS.items()}
    kind = given.pop("strategy")
    if kind not in STRATEGIES:
        raise _refusal(f"strategy {kind!r} is none of {', '.join(STRATEGIES)}")
    settings = STRATEGIES[kind]
    used = {name: value for name, value in given.items() if name in settings.model_fields}
    return validate(settings, {"kind": kind, **used}, "params")


def _refuse_unknown_params() -> None:
    """Make MLflow refuse a misspelt parameter.

    It drops what the signature does not name before ``predict`` could see it, logs a warning, and
    answers with the defaults. A filter on that logger is the only place to step in.
    """
    logger = logging.getLogger("mlflow.models.utils")
    if _refuse_warning not in logger.filters:
        logger.addFilter(_refuse_warning)


def _refuse_warning(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    if message.startswith("Unrecognized params") and all(name in message for name in DEFAULTS):
        raise _refusal(message.partition(" To enable")[0].replace("are ignored for", "at"))
    return True


def _refusal(reason: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(reason)


set_model(ServedPolicy())  # MLflow runs this file to get the model
