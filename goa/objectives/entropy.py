"""A bonus for staying undecided."""

from goa.objectives.contract import Batch, Loss, Need, OverTokens, given


class Entropy(OverTokens):
    """Minus the entropy of the next-token distributions, in nats; weight: tokens.

    At the positions the candidates went through (Williams and Peng, 1991, at each of the policy's
    decisions); that which positions are gone through depends on the policy too is left out.
    """

    needs: frozenset[Need] = frozenset({"entropy"})

    def __call__(self, batch: Batch) -> Loss:
        """Sum minus the entropy over the tokens.

        Raises:
            ValueError: the batch comes without entropies.
        """
        return Loss(sum=-given(batch.entropy, "entropies", "entropy").sum())
