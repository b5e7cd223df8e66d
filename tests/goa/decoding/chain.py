"""A policy small enough to enumerate."""

from typing import Any

from torch import Tensor

from goa.policies.writing import Writing

SHARPER = 0.1
"""Share by which logits grow with every token."""


class Chain:
    """A policy over a tiny vocabulary: the next token hangs on the last, and on the length.

    Did it not hang on the length, candidates of the same steps in other orders would be as likely.
    """

    pad_id = 0
    end_id = 1

    def __init__(self, logits: Tensor) -> None:
        """Take logits [V + 1, V]; the last row is for the first token."""
        self.logits = logits

    def start(self, sources: Any, num_candidates: int) -> Writing:
        """Begin, whatever the sources say."""
        return _ChainWriting(self.logits, len(sources.ids) * num_candidates)

    def steps(self, length: int) -> list[list[float]]:
        """Give the log-probabilities of the next token after so many, [V + 1, V]."""
        logits = self.logits.double() * (1 + SHARPER * length)
        found: list[list[float]] = logits.log_softmax(dim=1).tolist()
        return found

    def log_probs(self, max_tokens: int) -> dict[tuple[int, ...], float]:
        """Enumerate all candidates."""
        whole: dict[tuple[int, ...], float] = {}
        open_: dict[tuple[int, ...], float] = {(): 0.0}
        for length in range(max_tokens):
            steps = self.steps(length)
            longer = {
                (*said, token): log_prob + steps[said[-1] if said else -1][token]
                for said, log_prob in open_.items()
                for token in range(len(steps[0]))
            }
            whole |= {said: found for said, found in longer.items() if said[-1] == self.end_id}
            open_ = {said: found for said, found in longer.items() if said[-1] != self.end_id}
        return whole | open_


class _ChainWriting(Writing):
    def __init__(self, table: Tensor, rows: int) -> None:
        self.table = table
        self.length = 0
        self.logits = table[-1].expand(rows, -1)

    def advance(self, last: Tensor) -> None:
        self.length += 1
        self.logits = self.table[last] * (1 + SHARPER * self.length)

    def select(self, rows: Tensor) -> None:
        self.logits = self.logits[rows]
