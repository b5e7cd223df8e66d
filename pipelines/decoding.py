"""Decoding as stages and commands use it: where told, an evaluator chooses."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from goa.decoding.choosing import choose
from goa.decoding.generation import Candidates, generate
from goa.decoding.settings import ChoosingSettings, DecodingSettings
from goa.evaluators.contract import Evaluator, checked_score
from goa.policies.policy import Policy
from goa.records import Example

NOBODY: Mapping[str, Evaluator] = MappingProxyType({})


def decode(
    policy: Policy,
    examples: Sequence[Example],
    strategy: DecodingSettings,
    seed: int,
    judges: Mapping[str, Evaluator] = NOBODY,
) -> list[str]:
    """Write one text for each example: what is chosen, the best of a beam, the first of a sample.

    Args:
        policy: who writes; in evaluation mode.
        examples: sources and their ids, which draws follow from; references are not looked at.
        strategy: how to write.
        seed: of the draws.
        judges: evaluators by name: the one, at least, that the strategy chooses by.
    """
    return chosen_texts(*write(policy, examples, strategy, seed, judges))


def chosen_texts(candidates: Candidates, chosen: Sequence[int]) -> list[str]:
    """Take of each source's candidates the one that is chosen."""
    return [row[place] for row, place in zip(candidates.texts, chosen, strict=True)]


def num_chosen_tokens(candidates: Candidates, chosen: Sequence[int]) -> int:
    """Count the tokens of the candidates that are chosen, end tokens included."""
    lengths = candidates.mask.sum(dim=-1).tolist()
    return sum(row[place] for row, place in zip(lengths, chosen, strict=True))


def write(
    policy: Policy,
    examples: Sequence[Example],
    strategy: DecodingSettings,
    seed: int,
    judges: Mapping[str, Evaluator] = NOBODY,
) -> tuple[Candidates, list[int]]:
    """Write all candidates of a strategy, and say which it gives; see :func:`decode`.

    Raises:
        PolicyError: a source is too long, or there is nothing to read.
        EvaluatorError: the evaluator cannot score a candidate.
    """
    sources = policy.tokenize_sources([example.source for example in examples])
    keys = [example.id for example in examples]
    if not isinstance(strategy, ChoosingSettings):
        return generate(policy, sources, strategy, seed, keys), [0] * len(examples)
    candidates = generate(policy, sources, strategy.drawn, seed, keys)
    judge = judges[strategy.evaluator]
    return candidates, choose(
        candidates, examples, strategy, lambda samples: checked_score(judge, samples).values
    )
