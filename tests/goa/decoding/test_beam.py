"""Beams are those of transformers, source by source."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GenerationConfig

from goa.decoding.generation import Candidates, generate
from goa.decoding.hypotheses import best_continuations
from goa.decoding.settings import BeamSettings
from goa.policies.policy import Policy
from goa.policies.tokens import Tokens
from goa.policies.writing import Writing
from tests.conftest import SENTENCES


def write(policy: Policy, texts: list[str], **settings: Any) -> Candidates:
    """Write by beams of these settings."""
    strategy = BeamSettings(kind="beam", **settings)
    return generate(policy, policy.tokenize_sources(texts), strategy, 0, texts)


def by_transformers(policy: Policy, texts: list[str], **settings: Any) -> Tensor:
    """Write by transformers, [B * K, T]; it fills up with the end token where padding is 0."""
    sources = policy.tokenize_sources(texts)
    written = policy.model.generate(
        input_ids=sources.ids,
        attention_mask=sources.mask.long(),
        generation_config=GenerationConfig(**settings, **policy.special_tokens()),
    )[:, policy.num_leading(sources) :]
    ends = (written == policy.end_id).long()
    return written.masked_fill(ends.cumsum(dim=1) > ends, policy.pad_id)


@pytest.mark.parametrize("architecture", ["marian", "bart", "t5", "llama"])
@pytest.mark.parametrize(
    ("num_beams", "num_candidates", "length_penalty", "early_stopping"),
    [(3, 1, 1.0, False), (4, 4, 0.0, "never"), (3, 2, 1.0, "never"), (3, 3, 0.5, True)],
)
def test_the_best_of_a_beam_are_those_of_transformers(
    ending_policy: Callable[[str], Policy],
    architecture: str,
    num_beams: int,
    num_candidates: int,
    length_penalty: float,
    early_stopping: Any,
) -> None:
    policy = ending_policy(architecture)
    shared = {
        "num_beams": num_beams,
        "length_penalty": length_penalty,
        "early_stopping": early_stopping,
    }
    ours = write(policy, SENTENCES, num_candidates=num_candidates, max_tokens=12, **shared)
    theirs = by_transformers(
        policy, SENTENCES, num_return_sequences=num_candidates, max_new_tokens=12, **shared
    )
    assert torch.equal(ours.tokens.flatten(0, 1), theirs)


def test_stopping_early_matters(ending_policy: Callable[[str], Policy]) -> None:
    policy = ending_policy("marian")
    found = [
        write(policy, SENTENCES, early_stopping=early, num_beams=3, max_tokens=12).texts
        for early in (True, False, "never")
    ]
    assert found[0] != found[1]
    assert found[1] != found[2]


def test_beams_of_a_source_are_as_long_as_its_own_prompt_lets_them_in_any_batch(
    make_policy: Callable[..., Policy],
) -> None:
    policy = make_policy("llama")
    texts = [SENTENCES[0], " ".join(SENTENCES[:2]), SENTENCES[4], " ".join(SENTENCES[3:])]
    together = write(policy, texts, num_beams=3, num_candidates=2, max_tokens=99)
    room = policy.room(policy.tokenize_sources(texts))
    assert room is not None
    assert len(room.unique()) > 2
    for place, text in enumerate(texts):
        alone = write(policy, [text], num_beams=3, num_candidates=2, max_tokens=99)
        width = alone.tokens.shape[-1]
        assert together.texts[place] == alone.texts[0]
        assert torch.equal(together.tokens[place, :, :width], alone.tokens[0])
        assert not together.mask[place, :, width:].any()
        torch.testing.assert_close(together.log_probs[place, :, :width], alone.log_probs[0])


def test_the_best_of_all_continuations_are_found() -> None:
    random = torch.Generator().manual_seed(1)
    values, offsets = torch.randn(5, 3, 40, generator=random), torch.randn(5, 3, generator=random)
    scores, parents, tokens = best_continuations(values, offsets, 6)
    best = (values + offsets.unsqueeze(2)).flatten(1).topk(6, dim=1)
    assert torch.equal(scores, best.values)
    assert torch.equal(parents * 40 + tokens, best.indices)


def test_where_too_little_can_be_written_the_best_is_given_again(
    make_policy: Callable[..., Policy],
) -> None:
    policy = make_policy("marian")
    size = len(policy.tokenizer)
    written = write(policy, SENTENCES, num_beams=size + 2, num_candidates=size + 2, max_tokens=1)
    assert (written.mask.sum(dim=-1) == 1).all()
    for row in written.tokens.squeeze(2).tolist():
        assert row[size:] == [row[0], row[0]]
        assert sorted(row[:size]) == list(range(size))


class _Watched(Writing):
    """Counts rows and moves of what it passes on to."""

    def __init__(self, inner: Writing) -> None:
        self.inner = inner
        self.sizes: list[int] = []
        self.moves: list[list[int]] = []

    @property
    def logits(self) -> Tensor:  # type: ignore[override]
        return self.inner.logits

    @logits.setter
    def logits(self, logits: Tensor) -> None:
        self.inner.logits = logits

    def advance(self, last: Tensor) -> None:
        self.sizes.append(len(last))
        self.inner.advance(last)

    def select(self, rows: Tensor) -> None:
        self.moves.append(rows.tolist())
        self.inner.select(rows)


def test_sources_leave_when_they_are_done_and_nobody_moves_for_nothing(
    ending_policy: Callable[[str], Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ending_policy("marian")
    watched: list[_Watched] = []
    start = policy.start

    def watch(sources: Tokens, num_candidates: int) -> Writing:
        watched.append(_Watched(start(sources, num_candidates)))
        return watched[-1]

    monkeypatch.setattr(policy, "start", watch)
    written = write(policy, SENTENCES, num_beams=3, early_stopping=True, max_tokens=12)
    (found,) = watched
    assert found.sizes[0] == 3 * len(SENTENCES)
    assert found.sizes[-1] < found.sizes[0]
    assert found.sizes == sorted(found.sizes, reverse=True)
    assert len(found.sizes) >= written.tokens.shape[2] - 1
    places = len(SENTENCES)
    for rows in found.moves:
        assert rows != list(range(places))
        places = len(rows)
