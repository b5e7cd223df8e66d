"""Tokenizers: trained on the corpus, or loaded with a pretrained model."""

from collections.abc import Iterator
from pathlib import Path

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from goa.errors import PolicyError, first_line
from goa.policies.settings import PolicySettings, ScratchPolicySettings

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
SPECIAL_TOKENS = [PAD, END, UNKNOWN]
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "spiece.model", "vocab.json")


def build_tokenizer(texts: Iterator[str], settings: PolicySettings) -> PreTrainedTokenizerBase:
    """Make the policy's tokenizer: trained on these texts, or the pretrained model's own.

    Raises:
        PolicyError: the pretrained model has no usable tokenizer.
    """
    if isinstance(settings, ScratchPolicySettings):
        return train_tokenizer(texts, settings)
    return load_tokenizer(settings.name, settings.revision)


def train_tokenizer(
    texts: Iterator[str], settings: ScratchPolicySettings
) -> PreTrainedTokenizerFast:
    """Train byte-pair encoding (Sennrich et al., 2016) on texts of both sides.

    Ids 0, 1 and 2 are padding, end and unknown. Words are marked by a leading ▁, so that decoding
    gives back the text with its spaces; every encoded text ends with the end token.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab_size, special_tokens=SPECIAL_TOKENS, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, SPECIAL_TOKENS.index(END))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=settings.max_positions,
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """Load a tokenizer from a folder or a hub.

    Raises:
        PolicyError: there is none.
    """
    folder = Path(name)
    if folder.is_dir() and not any((folder / file).exists() for file in TOKENIZER_FILES):
        raise PolicyError(
            f"{name}: no tokenizer in this folder (none of {', '.join(TOKENIZER_FILES)}); "
            "save it there with tokenizer.save_pretrained"
        )
    try:
        return AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except Exception as error:  # tokenizers raises a bare Exception for a damaged file
        raise PolicyError(f"{name}: no usable tokenizer: {first_line(error)}") from None
