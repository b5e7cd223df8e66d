"""Words of a text in any script, for the measures that are goa's own.

BLEU, chrF, TER and ROUGE bring their own tokenizers; these are not used there.
"""

import unicodedata
from collections.abc import Sequence

import regex  # type: ignore[import-untyped]

# The third-party `regex` rather than `re`, whose \w lets go of the vowel signs of Indic scripts
# and knows no scripts.
_IDEOGRAPH = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_WORD = r"[\w--\p{Han}--\p{Hiragana}--\p{Katakana}]+"
_TOKEN = regex.compile(
    rf"{_IDEOGRAPH}|{_WORD}(?:['’]{_WORD})*|\p{{Emoji_Presentation}}|\p{{So}}",
    flags=regex.VERSION1,
)

FUNCTION_WORDS = frozenset(
    """
    a about above after again against all along also am among an and another any are around as at
    be because been before behind being below beside between both but by can could did do does
    doing down during each either every few for from had has have having he her here hers herself
    him himself his how i if in inside into is it its itself just may me might more most much must
    my myself near neither no nor not of off on onto or other our ours out outside over own per
    shall she should so some such than that the their theirs them themselves then there these they
    this those through to toward towards under until up upon us very was we were what when where
    which while who whom whose why will with within without would you your yours yourself
    """.split()  # noqa: SIM905 (a page of quotation marks reads worse)
)
"""English words that carry grammar rather than content."""


def tokenize(text: str) -> list[str]:
    """Split a text into words, case folded and in Unicode's compatibility form (NFKC).

    A word is a run of letters, marks, digits and underscores, apostrophes inside included. Each
    Chinese or Japanese character, and each emoji or pictograph, is a word of its own. Punctuation
    is dropped. Scripts that write no spaces for other reasons (Thai, Lao, Khmer) are not segmented.
    """
    return list(_TOKEN.findall(unicodedata.normalize("NFKC", text).casefold()))


def count_words(text: str) -> int:
    """Count the words of a text."""
    return len(tokenize(text))


def closest(length: float, lengths: Sequence[float]) -> float:
    """Give the length that is closest to another; of two as close, the shorter."""
    return min(lengths, key=lambda other: (abs(other - length), other))


def ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """List the runs of n tokens, in order, with repetitions."""
    return list(zip(*(tokens[start:] for start in range(n)), strict=False))
