"""A transformers classifier or regressor that turns texts into label probabilities."""

import difflib
from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
from pydantic import Field

from goa.errors import EvaluatorError
from goa.evaluators.contract import FloatArray
from goa.evaluators.pretrained import Pretrained, PretrainedSettings, find_pretrained
from goa.evaluators.text_model import TextModel

Label = str | int
"""A label's name in the model's configuration, or its index."""

Activation = Literal["auto", "sigmoid", "none"]


class SequenceClassifierSettings(PretrainedSettings):
    """A sequence classifier, and how much of a text it reads."""

    max_tokens: int = Field(default=512, ge=8, le=1_000_000)
    """Longer texts are cut; never more than the model has positions for."""


class SequenceClassifier:
    """A sequence classifier that is found and loaded when it is first needed.

    Not when it is built: comparing recorded outputs builds metrics again only to sum statistics.
    """

    def __init__(self, who: str, settings: SequenceClassifierSettings) -> None:
        self._who = who
        self._settings = settings

    @cached_property
    def found(self) -> Pretrained:
        """Where the model lies, and which it is."""
        return find_pretrained(self._who, self._settings)

    @cached_property
    def _model(self) -> TextModel:
        auto = "AutoModelForSequenceClassification"
        return TextModel.load(self._who, auto, self.found, self._settings)

    def find_label(self, label: Label | None) -> int:
        """Give a label's index; null is the only output of a regressor.

        Raises:
            EvaluatorError: the model has no such label.
        """
        names = [str(name) for _, name in sorted(self._model.model.config.id2label.items())]
        if label is None and len(names) == 1:
            return 0
        if isinstance(label, str) and names.count(label) == 1:
            return names.index(label)
        if isinstance(label, int) and 0 <= label < len(names):
            return label
        near = difflib.get_close_matches(str(label), names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise EvaluatorError(
            f"evaluator {self._who}: {self._settings.model}: {label!r} is none of its labels "
            f"{', '.join(names)}, nor an index below {len(names)}{hint}"
        )

    def outputs(
        self,
        texts: Sequence[str],
        seconds: Sequence[str] | None = None,
        activation: Activation = "auto",
    ) -> FloatArray:
        """Read N texts, or N pairs of texts.

        Returns:
            One number a label, [N, L]. "auto" gives probabilities as the model was trained for
            them: over all labels (softmax), or of each by itself (sigmoid) where there is but one
            or the configuration says so; "none" gives the raw outputs.
        """
        import torch  # noqa: PLC0415 - checking settings should not load it

        num_labels = self._model.model.config.num_labels
        rows = np.zeros((len(texts), num_labels))
        with torch.inference_mode():
            for places, inputs in self._model.batches(self._settings.max_tokens, texts, seconds):
                rows[places] = self._model.model(**inputs).logits.double().cpu().numpy()
        if activation == "none":
            return rows
        apart = num_labels == 1 or self._model.model.config.problem_type == (
            "multi_label_classification"
        )
        logits = torch.from_numpy(rows)
        if activation == "sigmoid" or (activation == "auto" and apart):
            return np.asarray(logits.sigmoid())
        return np.asarray(logits.softmax(dim=-1))
