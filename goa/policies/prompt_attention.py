"""What candidates' newest tokens see: the prompt, which they share, and their own tokens."""

import torch
from torch import Tensor

from goa.policies.keys import Length, new_keys
from goa.policies.places import Places


class PromptAttention:
    """One layer's keys and values, of B prompts and of R candidates.

    Args:
        keys: [B, H', S, D] of the prompts, taken as they are, not copied.
        values: [B, H', S, D].
        rows: R.
        length: of all candidates, where what is kept of them is to stay in place.
    """

    def __init__(self, keys: Tensor, values: Tensor, rows: int, length: Length | None) -> None:
        self._keys = keys
        self._values = values
        _, shared, _, width = keys.shape
        self._own = new_keys(rows, shared, width, keys, length)

    def attend(
        self,
        queries: Tensor,
        newest: Tensor,
        hidden: Tensor,
        hidden_own: Tensor | None,
        places: Places,
    ) -> Tensor:
        """Take in the newest tokens; one softmax goes over prompt and own tokens together.

        Args:
            queries: [R, H, D] of the newest tokens, scaled.
            newest: [2, R, H', D] their keys and values.
            hidden: [B * H', 1, S], added to the scores: minus infinity hides a token.
            hidden_own: [T], the same for own tokens.
            places: where candidates stand.

        Returns:
            [R, H * D].
        """
        own_keys, own_values = self._own.extend(newest).flatten(1, 2)
        size, shared, length, width = self._keys.shape
        to_own = torch.bmm(queries.reshape(len(own_keys), -1, width), own_keys.transpose(1, 2))
        if hidden_own is not None:
            to_own += hidden_own
        grouping = (size, -1, shared, queries.shape[1] // shared)

        def by_prompt(rows: Tensor) -> Tensor:
            laid_out = places.spread(rows).view(*grouping, rows.shape[1] // queries.shape[1])
            return laid_out.transpose(1, 2).reshape(size * shared, -1, laid_out.shape[-1])

        def by_candidate(laid_out: Tensor) -> Tensor:
            grouped = laid_out.reshape(size, shared, -1, grouping[3], laid_out.shape[-1])
            return places.gather(grouped.transpose(1, 2).flatten(2))

        keys = self._keys.flatten(0, 1).transpose(1, 2)
        to_prompt = torch.baddbmm(hidden, by_prompt(queries.flatten(1)), keys)
        scores = torch.cat([to_prompt, by_prompt(to_own.view(len(queries), -1))], dim=2)
        weights = scores.softmax(dim=2)
        found = torch.bmm(weights[..., :length], self._values.flatten(0, 1))
        own_weights = by_candidate(weights[..., length:]).reshape(to_own.shape)
        own_found = torch.bmm(own_weights, own_values).view(len(queries), -1)
        return by_candidate(found) + own_found

    def select(self, rows: Tensor, kept: Tensor | None) -> None:
        """Go on with the candidates of these indices, and with some sources; None: with all."""
        self._own.select(rows)
        if kept is not None:
            self._keys, self._values = self._keys[kept], self._values[kept]
