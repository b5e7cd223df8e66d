"""Candidates in the making."""

from abc import ABC, abstractmethod

from torch import Tensor


class Writing(ABC):
    """R candidates in the making: what a policy keeps between one token and the next."""

    logits: Tensor
    """[R, V] of each candidate's next token, float32."""

    @abstractmethod
    def advance(self, last: Tensor) -> None:
        """Take the tokens that were chosen, [R], and compute the logits of the next."""

    @abstractmethod
    def select(self, rows: Tensor) -> None:
        """Go on from the candidates of these indices, [R'].

        Indices may repeat: the candidate is then continued in several ways. Candidates of one
        source stay neighbours, in any order, and sources in ascending order; one without
        candidates is left out.
        """

    def stays(self, length: int) -> bool:
        """Make room for the next token of candidates that have so many already.

        Says whether to advance is to do what was done for the token before, in the same memory, so
        that a recording of that does it.
        """
        del length
        return False
