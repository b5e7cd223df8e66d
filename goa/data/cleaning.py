"""Cleaning: every example that is dropped is dropped for a reason with a name."""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace

from goa.data.digests import Digests
from goa.data.settings import CleaningSettings
from goa.data.words import num_words
from goa.records import Example

REASONS = ("empty_side", "over_length", "length_ratio", "leaked", "duplicate")
"""In the order they are looked for; an example is counted under the first that applies."""
_CHECKED = {"train": REASONS[1:], "validation": ("over_length",), "test": ()}


class Cleaner:
    """Normalises examples and says which to drop.

    - ``empty_side``: no source, or no reference. In the test split an empty source stays.
    - ``over_length``: the source or the longest reference has more than ``max_words`` words.
    - ``length_ratio``: a reference and its source differ too much in words.
    - ``leaked``: the source of a training example occurs in validation or test.
    - ``duplicate``: a training example with the source and references of an earlier one.

    All reasons apply to train; only the first two to validation; to test only a lack of
    references, so that scores stay comparable with others' scores on the same test set.
    """

    def __init__(self, settings: CleaningSettings, digests: Digests) -> None:
        self._settings = settings
        self._digests = digests
        self._checks: Mapping[str, Callable[[Example], bool]] = {
            "over_length": self._is_over_length,
            "length_ratio": self._is_lopsided,
            "leaked": self._leaks,
            "duplicate": self._is_duplicate,
        }

    def normalise(self, example: Example) -> Example:
        """Normalise all texts of an example; empty references are left out."""
        texts = [self._normalise_text(text) for text in (example.source, *example.references)]
        return replace(example, source=texts[0], references=tuple(filter(None, texts[1:])))

    def reason_to_drop(self, example: Example, split: str) -> str | None:
        """Name the reason to drop a normalised example from its split; None to keep it."""
        if not example.references or (split != "test" and not example.source):
            return "empty_side"
        checked = _CHECKED[split]
        return next((reason for reason in checked if self._checks[reason](example)), None)

    def _is_over_length(self, example: Example) -> bool:
        limit = self._settings.max_words
        return limit is not None and max(_words(example)) > limit

    def _is_lopsided(self, example: Example) -> bool:
        limit = self._settings.max_length_ratio
        source, *references = _words(example)
        ratio = max(max(source, words) / min(source, words) for words in references)
        return limit is not None and ratio > limit

    def _leaks(self, example: Example) -> bool:
        return self._digests.leaks(example.source)

    def _is_duplicate(self, example: Example) -> bool:
        return not self._digests.add("pair", example.source, *example.references)

    def _normalise_text(self, text: str) -> str:
        """Compose characters (NFC) and make every run of white space, of any kind, one space."""
        composed = unicodedata.normalize("NFC", text)
        if self._settings.lowercase:
            composed = unicodedata.normalize("NFC", composed.lower())
        return " ".join(composed.split())


def _words(example: Example) -> list[int]:
    """Count the words of the source and of each reference."""
    return [num_words(text) for text in (example.source, *example.references)]
