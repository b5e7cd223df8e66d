"""What newest tokens see of those before, against attention written out."""

import torch
from torch import Tensor

from goa.policies.attention_cache import SHORT, _ByCandidate, attend_source, new_cache
from goa.policies.keys import ROOM

HEADS, WIDTH = 3, 4


def plain(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend from [R, H, D] to [R, T, H, D], in float64."""
    scores = torch.einsum("rhd,rthd->rht", queries.double(), keys.double()) / WIDTH**0.5
    found = torch.einsum("rht,rthd->rhd", scores.softmax(dim=-1), values.double())
    return found.flatten(1).float()


def test_attention_is_that_over_all_tokens_so_far_however_many_and_whoever_is_left() -> None:
    random = torch.Generator().manual_seed(1)
    cache = new_cache(9, HEADS, WIDTH, torch.empty(0), WIDTH**-0.5)
    tokens = torch.empty(9, 0, 3, HEADS, WIDTH)
    kept = {2: 8, SHORT - 1: 6, SHORT: 5, SHORT + 1: 4, SHORT + ROOM: 3, SHORT + ROOM + 1: 2}
    for step in range(SHORT + 2 * ROOM + 40):
        if step in kept:
            rows = torch.randperm(len(tokens), generator=random)[: kept[step]].sort().values
            tokens = tokens[rows]
            cache.select(rows)
        cache = cache.grown()
        newest = torch.randn(len(tokens), 3, HEADS, WIDTH, generator=random)
        tokens = torch.cat([tokens, newest.unsqueeze(1)], dim=1)
        expected = plain(newest[:, 0], tokens[:, :, 1], tokens[:, :, 2])
        torch.testing.assert_close(cache.attend(newest, None), expected)


def test_candidates_see_their_own_source_without_its_padding() -> None:
    queries, keys, values = torch.randn(3, 2, 5, HEADS, WIDTH).unbind()
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    hidden = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)[:, None, None]
    found = attend_source(
        queries, keys.permute(0, 2, 3, 1), values.transpose(1, 2), hidden, WIDTH**-0.5
    )
    for source, length in enumerate([5, 3]):
        for place in range(5):
            expected = plain(
                queries[source, place].unsqueeze(0),
                keys[source, :length].unsqueeze(0),
                values[source, :length].unsqueeze(0),
            )
            torch.testing.assert_close(found[source, place].unsqueeze(0), expected)


def test_off_the_cpu_keys_lie_by_candidate_from_the_first_token_on() -> None:
    cache = new_cache(9, HEADS, WIDTH, torch.empty(0, device="meta"), WIDTH**-0.5)
    assert isinstance(cache, _ByCandidate)
    assert cache.grown() is cache
