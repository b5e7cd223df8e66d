"""Remembering what is costly to know about a text, a batch at a time."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from goa.evaluators.contract import CACHED_TEXTS

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """What a function says of texts, remembered for the ones that were asked for last.

    Args:
        know: maps N texts to N values; better asked about many texts at once.
        size: how many texts to remember between calls.
    """

    def __init__(
        self, know: Callable[[Sequence[str]], Sequence[Value]], size: int = CACHED_TEXTS
    ) -> None:
        self._know = know
        self._size = size
        self._known: OrderedDict[str, Value] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> list[Value]:
        """Give the value of each text, computing in one go those that are not remembered."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        # Asking about nothing would load a model for nothing.
        if new:
            self._known.update(zip(new, self._know(new), strict=True))
        for text in texts:
            self._known.move_to_end(text)
        values = [self._known[text] for text in texts]
        while len(self._known) > self._size:
            self._known.popitem(last=False)
        return values
