"""A transformers model that reads texts, in batches of equal length."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

from goa.errors import EvaluatorError, first_line
from goa.evaluators.pretrained import Pretrained, PretrainedSettings, choose_device, clean

if TYPE_CHECKING:
    from torch import Tensor


class TextModel:
    """A model and its tokenizer, in evaluation mode and single precision.

    Texts are read together only with texts of as many tokens, in the order of their tokens, so that
    there is no padding for a model to be led astray by. What is said of a text then hangs on those
    beside it, and on the size of the batch, by no more than the rounding of matrix products (about
    1e-7), which no rounding of scores takes away: it only moves where they jump. With a
    ``batch_size`` of 1 it does not hang on them at all.
    """

    def __init__(self, model: Any, tokenizer: Any, settings: PretrainedSettings) -> None:
        self.device = choose_device(settings)
        self.model = model.to(self.device).eval()
        self.tokenizer = tokenizer
        # Decoder-only classifiers find the last token by padding: without any, one text at a time.
        padded = getattr(model.config, "pad_token_id", None) is not None
        self._batch_size = settings.batch_size if padded else 1

    @classmethod
    def load(
        cls, who: str, auto: str, found: Pretrained, settings: PretrainedSettings, **config: Any
    ) -> Self:
        """Load a model.

        Args:
            who: the evaluator that needs it, for messages.
            auto: the class of transformers that loads its kind, such as "AutoModel".
            found: where it lies.
            settings: how it is run.
            config: what to change in its configuration.

        Raises:
            EvaluatorError: it is of another kind, or its weights are not all there.
        """
        # Here, not above: checking settings should not load torch.
        import torch  # noqa: PLC0415
        import transformers  # noqa: PLC0415
        from safetensors import SafetensorError  # noqa: PLC0415

        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                found.folder, trust_remote_code=False
            )
            model, report = getattr(transformers, auto).from_pretrained(
                found.folder,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **config,
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise EvaluatorError(
                f"evaluator {who}: {settings.model}: cannot be loaded by {auto} with a tokenizer: "
                f"{first_line(error)}"
            ) from None
        # Transformers fills what is missing with random numbers; a pooler that is missing is
        # looked at by classifiers alone, which have their own name for it.
        missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
        if missing:
            raise EvaluatorError(
                f"evaluator {who}: {settings.model}: not a model for {auto}: it has no weights for "
                f"{', '.join(missing[:3])}; choose one that was trained for this"
            )
        return cls(model, tokenizer, settings)

    def batches(
        self, max_tokens: int, texts: Sequence[str], seconds: Sequence[str] | None = None
    ) -> Iterator[tuple[list[int], Mapping[str, "Tensor"]]]:
        """Turn texts, or pairs of texts, into what the model takes.

        Args:
            max_tokens: a longer text (of a pair, the longer one) is cut to this many tokens, or to
                as many as the model has positions for.
            texts: N texts, at least one.
            seconds: the second texts of N pairs.

        Yields:
            Places among the N, [B], and tensors [B, T] by the names of the model's arguments.
        """
        import torch  # noqa: PLC0415

        length = min(max_tokens, self._num_positions())
        sides = [self._cut(side, length) for side in (texts, seconds) if side is not None]
        encoded = self.tokenizer(*sides, truncation=True, max_length=length)
        ids = [row or [self._filler()] for row in encoded["input_ids"]]
        types = encoded.get("token_type_ids")
        places = sorted(range(len(ids)), key=lambda place: (len(ids[place]), ids[place]))
        for _, group in groupby(places, key=lambda place: len(ids[place])):
            alike = list(group)
            for start in range(0, len(alike), self._batch_size):
                batch = alike[start : start + self._batch_size]
                inputs = {"input_ids": torch.tensor([ids[p] for p in batch], device=self.device)}
                inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
                if types and types[batch[0]]:
                    rows = [types[place] for place in batch]
                    inputs["token_type_ids"] = torch.tensor(rows, device=self.device)
                yield batch, inputs

    def _cut(self, texts: Sequence[str], length: int) -> list[str]:
        """Drop what lies behind the first ``length`` tokens of each text, and lone surrogates.

        Of a pair that is too long, tokenizers list every remainder of one text with every remainder
        of the other: gigabytes for two texts of a hundred thousand characters.
        """
        texts = [clean(text) for text in texts]
        long = list({text for text in texts if len(text) > length})
        if not long or not self.tokenizer.is_fast:
            return texts
        encoded = self.tokenizer(
            long,
            truncation=True,
            max_length=length,
            add_special_tokens=False,
            return_offsets_mapping=True,
        )
        cut = {
            text: text[: offsets[-1][1] if offsets else 0]
            for text, offsets in zip(long, encoded["offset_mapping"], strict=True)
        }
        return [cut.get(text, text) for text in texts]

    def _num_positions(self) -> int:
        """Say how many tokens the model can read."""
        limit = self.tokenizer.model_max_length
        for name, module in self.model.named_modules():
            if name.endswith(("position_embeddings", "wpe")) and hasattr(module, "num_embeddings"):
                # RoBERTa and its kin count positions from behind that of padding.
                skipped = -1 if module.padding_idx is None else module.padding_idx
                limit = min(limit, module.num_embeddings - skipped - 1)
        return int(limit)

    def _filler(self) -> int:
        """Give the token that stands for a text without any."""
        ids = (self.tokenizer.eos_token_id, self.tokenizer.pad_token_id, 0)
        return next(token_id for token_id in ids if token_id is not None)
