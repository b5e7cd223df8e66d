"""Sentence embeddings (Reimers and Gurevych, 2019) by the package sentence-transformers."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from goa.errors import EvaluatorError, first_line
from goa.evaluators.contract import FloatArray
from goa.evaluators.memory import Memory
from goa.evaluators.pretrained import (
    Pretrained,
    PretrainedSettings,
    choose_device,
    clean,
    find_pretrained,
)


class SentenceEncoder:
    """A sentence-transformers model, found and loaded when it is first needed.

    The package is asked, not plain transformers: pooling, dense layers, prompts and limits of
    length are written in a layout of its own, which it changes with its versions.
    """

    def __init__(self, who: str, settings: PretrainedSettings) -> None:
        self._who = who
        self._settings = settings
        self.remembered = Memory(self.embed)
        """As :meth:`embed`; for texts that come back."""

    @cached_property
    def found(self) -> Pretrained:
        """Where the model lies, and which it is."""
        return find_pretrained(self._who, self._settings)

    @cached_property
    def _model(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415
        except ImportError:
            raise EvaluatorError(
                f"evaluator {self._who}: embeddings need the package sentence-transformers: "
                "pip install 'goa[embeddings]'"
            ) from None
        from safetensors import SafetensorError  # noqa: PLC0415

        who, folder = f"evaluator {self._who}: {self._settings.model}", self.found.folder
        if not (folder / "modules.json").exists():
            raise EvaluatorError(
                f"{who}: no sentence-transformers model (no modules.json); choose one that was "
                "trained for embeddings"
            )
        try:
            return SentenceTransformer(
                str(folder),
                device=str(choose_device(self._settings)),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise EvaluatorError(
                f"{who}: cannot be loaded by sentence-transformers: {first_line(error)}"
            ) from None

    def embed(self, texts: Sequence[str]) -> list[FloatArray]:
        """Embed N texts: N vectors [d] of length 1, or 0 where a text is blank.

        Raises:
            EvaluatorError: the package or the model cannot be had.
        """
        cleaned = [clean(text) for text in texts]
        # In order, so that the same texts are read in the same batches.
        distinct = sorted({text for text in cleaned if text.strip()})
        rows = self._model.encode(
            distinct,
            batch_size=self._settings.batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        found = dict(zip(distinct, np.asarray(rows, dtype=np.float64), strict=True))
        blank = np.zeros(self._model.get_embedding_dimension())
        return [found.get(text, blank) for text in cleaned]
