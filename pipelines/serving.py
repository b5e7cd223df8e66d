"""A policy as an MLflow model: this file is logged beside the weights and stands alone there.

It needs plain transformers and nothing of goa, so that a model loads wherever its requirements
are installed. ``predict`` takes texts and the parameters of :data:`DEFAULTS`.
"""

import json
import logging
import math
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

DEFAULTS: dict[str, tuple[DataType, Any]] = {
    "strategy": (DataType.string, "beam"),
    "num_beams": (DataType.long, 4),
    "length_penalty": (DataType.double, 1.0),
    "max_tokens": (DataType.long, 128),
}
"""Parameters of ``predict``: type and default, as in ``goa.decoding``."""
INPUT_EXAMPLE = ["name [Alma] food [Thai] rating [high]"]
PACKAGES = ("mlflow", "pandas", "safetensors", "tokenizers", "torch", "transformers")
ROWS_PER_BATCH = 32


class ServedPolicy(PythonModel):  # type: ignore[misc]
    """Writes one text for each source."""

    def load_context(self, context: Any) -> None:
        """Load model and tokenizer: safetensors only, no code from elsewhere."""
        import torch  # noqa: PLC0415 - whoever only logs the model does not need it
        from transformers import (  # noqa: PLC0415
            AutoConfig,
            AutoModelForCausalLM,
            AutoModelForSeq2SeqLM,
            AutoTokenizer,
            GenerationConfig,
        )

        _refuse_unknown_params()
        folder = context.artifacts["policy"]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model = auto.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
        prompt = Path(folder, "prompt.json")
        self.prompt: dict[str, Any] = json.loads(prompt.read_text()) if prompt.exists() else {}
        self.model = model.to(device).eval()
        self.special = _special_tokens(model)
        model.generation_config = GenerationConfig(**self.special)

    # The hint must be the data frame that MLflow hands over: any other replaces our signature.
    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[str]:
        """Write texts for the first column of sources.

        Raises:
            MlflowException: a source or a parameter cannot be used.
        """
        self._generation_config(params or {})  # before anything is computed
        sources = [str(source) for source in model_input.iloc[:, 0]]
        texts: list[str] = []
        for start in range(0, len(sources), ROWS_PER_BATCH):
            batch = self._encode(sources[start : start + ROWS_PER_BATCH])
            width = batch["input_ids"].shape[1] if self.prompt else 0
            config = self._generation_config(params or {}, width)
            written = self.model.generate(**batch, generation_config=config)[:, width:]
            texts += self.tokenizer.batch_decode(
                written, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        return [text.strip() for text in texts]

    def _encode(self, sources: list[str]) -> Any:
        special = True
        if self.prompt:
            special = not self.prompt["chat"]
            self.tokenizer.padding_side = "left"
            self.tokenizer.pad_token = self.tokenizer.pad_token or self.tokenizer.eos_token
            sources = [self._fill(source) for source in sources]
        batch = self.tokenizer(
            sources,
            add_special_tokens=special,
            padding=True,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        longest = batch["input_ids"].shape[1]
        most = self._max_positions - 1 if self.prompt else self._max_positions
        if longest > most:
            raise _refusal(f"a source of {longest} tokens; this model reads {most} at most")
        return batch.to(self.model.device)

    def _fill(self, source: str) -> str:
        """Make the prompt of a decoder-only model, as ``goa.policies.prompt`` does."""
        text: str = self.prompt["template"].replace("{source}", source)
        if not self.prompt["chat"]:
            return text
        messages = [{"role": "user", "content": text}]
        if self.prompt["system"] is not None:
            messages.insert(0, {"role": "system", "content": self.prompt["system"]})
        filled = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return str(filled)

    @property
    def _max_positions(self) -> float:
        return getattr(self.model.config, "max_position_embeddings", None) or math.inf

    def _generation_config(self, params: dict[str, Any], num_leading: int = 0) -> Any:
        from transformers import GenerationConfig  # noqa: PLC0415

        given = _checked(params)
        return GenerationConfig(
            **self.special,
            num_beams=given["num_beams"] if given["strategy"] == "beam" else 1,
            length_penalty=given["length_penalty"],
            max_new_tokens=min(given["max_tokens"], self._max_positions - num_leading),
            do_sample=False,
        )


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


def _special_tokens(model: Any) -> dict[str, Any]:
    """Take the special tokens, and nothing else, from what a checkpoint says about decoding."""
    names = ("decoder_start_token_id", "eos_token_id", "pad_token_id")
    return {name: getattr(model.generation_config, name) for name in names}


def _checked(params: dict[str, Any]) -> dict[str, Any]:
    """Fill in the defaults and refuse what cannot be used."""
    if unknown := params.keys() - DEFAULTS.keys():
        raise _refusal(f"unknown parameter {min(unknown)!r}; known: {', '.join(DEFAULTS)}")
    given = {name: params.get(name, default) for name, (_, default) in DEFAULTS.items()}
    if given["strategy"] not in ("greedy", "beam"):
        raise _refusal(f"strategy {given['strategy']!r} is none of greedy, beam")
    if given["num_beams"] < 1 or given["max_tokens"] < 1:
        raise _refusal("num_beams and max_tokens are 1 or more")
    return given


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
