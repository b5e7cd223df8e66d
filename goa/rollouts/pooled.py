"""The first round of fine-tuning, from the scored candidate pool."""

import heapq
import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from goa.data.corpus import Corpus
from goa.data.pool import Candidate, Reward, read_pool, read_rewards
from goa.errors import DataError
from goa.policies.policy import Policy
from goa.randomness import derive_seed
from goa.records import Example
from goa.rollouts.rewards import describe_rewards
from goa.rollouts.rollout import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolChoice:
    """What to take from the pool."""

    strategy: str
    """Name of the sampling strategy whose candidates are learnt from."""
    greedy: str | None
    """Name of the greedy strategy, where the objective asks for greedy rewards."""
    num_sources: int
    """Sources of the first round."""
    seed: int
    """Of the choice among the sources that carry signal."""
    keeps_silent: bool = False
    """Whether the choice is among all sources instead."""
    drops: bool = False
    """Whether sources are left out of which a candidate has no reward; else that is an error."""
    fewest: int = 1
    """How many sources there must be: one for each process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStart:
    """What the pool gives a run of fine-tuning."""

    rollout: Rollout
    """The first round, references and credits apart."""
    examples: tuple[Example, ...]
    """What it is of, in its order."""
    spreads: Mapping[str, float]
    """Standard deviation of the rewards of each source's candidates, by its id."""

    @property
    def silent(self) -> frozenset[str]:
        """Ids of the sources whose candidates all earn the same: nothing is learnt from them."""
        return frozenset(example_id for example_id, spread in self.spreads.items() if spread == 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """A source's candidates from one strategy, with their rewards."""

    example_id: str
    candidates: list[Candidate]
    rewards: list[float]
    greedy_reward: float | None


def start_from_pool(
    policy: Policy, corpus: Corpus, pool: Path, rewards: Path, choice: PoolChoice
) -> PoolStart:
    """Choose the first round's sources at random among those that carry signal.

    The pool is streamed; only what is chosen is kept.

    Raises:
        DataError: pool and rewards do not belong together, or no source carries signal.
    """
    spreads: dict[str, float] = {}
    chosen: list[tuple[int, str, _Group]] = []
    for group in _groups(pool, rewards, choice):
        spreads[group.example_id] = _spread(group.rewards)
        if spreads[group.example_id] == 0.0 and not choice.keeps_silent:
            continue
        # The sources with the smallest keys are a random choice, made in one pass.
        key = -derive_seed(choice.seed, "pool", group.example_id)
        entry = (key, group.example_id, group)
        if len(chosen) < choice.num_sources:
            heapq.heappush(chosen, entry)
        else:
            heapq.heappushpop(chosen, entry)
    if not chosen:
        raise DataError(
            f"{rewards}: all candidates of each of the {len(spreads)} sources earn the same, so "
            "there is nothing to learn; draw more candidates, or look at the evaluator"
        )
    if len(chosen) < choice.fewest:
        raise DataError(
            f"{rewards}: the pool has only {len(chosen)} sources to learn from, for "
            f"{choice.fewest} processes; raise generate.num_sources, or lower "
            "compute.processes.finetune"
        )
    groups = {group.example_id: group for _, _, group in chosen}
    examples = _find(corpus, set(groups))
    rollout = _lay_out(policy, examples, groups)
    return PoolStart(rollout=rollout, examples=tuple(examples), spreads=spreads)


def _spread(rewards: Sequence[float]) -> float:
    """Give the standard deviation; exactly 0 where all are equal."""
    return 0.0 if max(rewards) == min(rewards) else statistics.pstdev(rewards)


def _groups(pool: Path, rewards: Path, choice: PoolChoice) -> Iterator[_Group]:
    nothing: list[Any] = []
    for candidates, scored in itertools.zip_longest(
        read_pool(pool), read_rewards(rewards), fillvalue=nothing
    ):
        if choice.drops and any(row.reward is None for row in scored):
            continue
        by_place = {_place(row): _earned(row, rewards) for row in scored}
        if by_place.keys() != {_place(candidate) for candidate in candidates}:
            at = [*candidates, *scored][0].example_id
            raise DataError(
                f"{rewards}: its rewards are not those of {pool} at example {at}; "
                "score the pool again"
            )
        drawn = [candidate for candidate in candidates if candidate.strategy == choice.strategy]
        example_id = candidates[0].example_id
        if drawn:
            greedy = (example_id, choice.greedy, 0)
            yield _Group(
                example_id=example_id,
                candidates=drawn,
                rewards=[by_place[_place(candidate)] for candidate in drawn],
                greedy_reward=by_place[greedy] if choice.greedy else None,
            )


def _earned(row: Reward, path: Path) -> float:
    if row.reward is None:
        raise DataError(
            f"{path}: no reward for candidate {row.rank} ({row.strategy}) of {row.example_id}: the "
            "evaluator does not apply to it, so it cannot be trained on"
        )
    return row.reward


def _place(row: Candidate | Reward) -> tuple[str, str | None, int]:
    return (row.example_id, row.strategy, row.rank)


def _find(corpus: Corpus, ids: set[str]) -> list[Example]:
    return [example for example in corpus if example.id in ids]


def _lay_out(policy: Policy, examples: list[Example], groups: dict[str, _Group]) -> Rollout:
    ordered = [groups[example.id] for example in examples]
    rows = [candidate for group in ordered for candidate in group.candidates]
    tokens = policy.pad([candidate.token_ids for candidate in rows])
    log_probs = torch.zeros(tokens.ids.shape, device=policy.device)
    log_probs[tokens.mask] = torch.tensor(
        [value for candidate in rows for value in candidate.token_log_probs], device=policy.device
    )
    shape = (len(ordered), len(ordered[0].candidates), -1)
    rewards = torch.tensor([group.rewards for group in ordered], device=policy.device)
    greedy = [group.greedy_reward for group in ordered if group.greedy_reward is not None]
    return Rollout(
        sources=policy.tokenize_sources([example.source for example in examples]),
        tokens=tokens.ids.view(shape),
        mask=tokens.mask.view(shape),
        log_probs=log_probs.view(shape),
        rewards=rewards,
        greedy_rewards=torch.tensor(greedy, device=policy.device) if greedy else None,
        diagnostics=describe_rewards(rewards),
    )
