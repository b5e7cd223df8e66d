"""BERTScore (Zhang et al., 2020), equal to bert-score's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from goa.evaluators.contract import Evaluator
from goa.evaluators.pretrained import (
    Pretrained,
    PretrainedSettings,
    describe_pretrained,
    find_pretrained,
)
from goa.evaluators.recipe import Recipe
from goa.evaluators.text_model import TextModel
from goa.records import Sample, Scores

if TYPE_CHECKING:
    from torch import Tensor


class BertscoreSettings(PretrainedSettings, Recipe):
    """Which model's states are compared, and how."""

    kind: Literal["bertscore"] = "bertscore"
    num_layers: int = Field(ge=1, le=1000)
    """Whose layer's states are compared: the best is in between, 17 of roberta-large's 24, 9 of
    bert-base's 12."""
    measure: Literal["fmeasure", "precision", "recall"] = "fmeasure"
    """Of several references, the one with the highest."""
    baseline: float = Field(default=0.0, ge=0.0, lt=1.0)
    """What unrelated texts have: scores from there to 1 are stretched to [0, 1], and lower ones are
    0. Without, all scores of a model lie close to one another."""
    max_tokens: int = Field(default=512, ge=8, le=1_000_000)
    """Longer texts are cut; never more than the model has positions for."""

    def build(self, name: str) -> "Bertscore":
        """Build the evaluator; its model is loaded when it first scores."""
        return Bertscore(name, self)


class Bertscore(Evaluator):
    """Each token's closest token in the other text, by cosine of their states, averaged.

    ``P = mean over candidate tokens of max over reference tokens``, R the other way round, and
    ``F = 2 P R / (P + R)``; a blank text, candidate or reference, has 0. As in bert-score without
    idf, marks of begin and end may be closest, but are not averaged over. The package itself is not
    run: release 0.3.13 fails on blank texts with transformers 5 and reads weights that are no
    safetensors; tests hold its numbers. Encoder-decoder models are compared by their encoders.
    """

    def __init__(self, name: str, settings: BertscoreSettings) -> None:
        self.name = name
        self._settings = settings

    @cached_property
    def signature(self) -> str:  # type: ignore[override] # written once, when first read
        """The recipe, which names the model by what is in its files."""
        return describe_pretrained(self._settings, self._found, "transformers")

    @cached_property
    def _found(self) -> Pretrained:
        return find_pretrained(self.name, self._settings)

    @cached_property
    def _model(self) -> TextModel:
        # Layers above are not even loaded; bert-score drops them too.
        num_layers = {"num_hidden_layers": self._settings.num_layers}
        return TextModel.load(self.name, "AutoModel", self._found, self._settings, **num_layers)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score each sample.

        Raises:
            EvaluatorError: the model cannot be had, or has fewer layers.
        """
        values: list[float] = []
        # States are large: they are kept for a batch of samples only.
        for start in range(0, len(samples), self._settings.batch_size):
            batch = samples[start : start + self._settings.batch_size]
            read = {text for sample in batch for text in _texts(sample) if text.strip()}
            states = self._read(sorted(read))
            values += [self._value(sample, states) for sample in batch]
        return Scores(values=tuple(values))

    def _value(self, sample: Sample, states: Mapping[str, "_States"]) -> float:
        candidate, baseline = states.get(sample.candidate), self._settings.baseline
        best = max(
            getattr(compare(states.get(reference), candidate), self._settings.measure)
            for reference in sample.example.references
        )
        return float(min(1.0, max(0.0, (best - baseline) / (1 - baseline))))

    def _read(self, texts: Sequence[str]) -> dict[str, "_States"]:
        """Read N texts."""
        import torch  # noqa: PLC0415 - checking settings should not load it

        if not texts:
            return {}
        found, model, tokenizer = {}, self._model.model, self._model.tokenizer
        encoder = model.get_encoder() if model.config.is_encoder_decoder else model
        marks = {tokenizer.cls_token_id, tokenizer.sep_token_id} - {None}
        with torch.inference_mode():
            for places, inputs in self._model.batches(self._settings.max_tokens, texts):
                states = encoder(**inputs).last_hidden_state
                states = torch.nn.functional.normalize(states, dim=-1)
                for row, place in enumerate(places):
                    counts = [
                        token_id not in marks for token_id in inputs["input_ids"][row].tolist()
                    ]
                    found[texts[place]] = _States(vectors=states[row], counts=torch.tensor(counts))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _States:
    vectors: "Tensor"
    """[T, d], each of length 1."""
    counts: "Tensor"
    """[T], False for marks of begin and end; on the CPU."""


class Match(NamedTuple):
    """How well two texts' tokens match."""

    precision: float
    recall: float
    fmeasure: float


def compare(reference: _States | None, candidate: _States | None) -> Match:
    """Match the tokens of two texts; None is a text without any."""
    if not (reference and candidate and reference.counts.any() and candidate.counts.any()):
        return Match(0.0, 0.0, 0.0)
    cosines = candidate.vectors @ reference.vectors.T
    precision = float(cosines.amax(dim=1).cpu()[candidate.counts].mean())
    recall = float(cosines.amax(dim=0).cpu()[reference.counts].mean())
    total = precision + recall
    return Match(precision, recall, 2 * precision * recall / total if total else 0.0)


def _texts(sample: Sample) -> tuple[str, ...]:
    return (sample.candidate, *sample.example.references)
