"""How sure a policy is of the tokens of references."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from goa.evaluation.peakiness import RANKS, Peakiness, mean_peakiness
from goa.evaluation.teacher_forcing import measure_peakiness
from goa.policies import projection
from goa.policies.decoder_only import DecoderOnly
from goa.policies.policy import Policy
from goa.policies.prompt import PromptSettings
from goa.policies.tokens import Targets
from goa.records import Example
from tests.conftest import SENTENCES

MakePolicy = Callable[..., Policy]
EXAMPLES = [
    Example(id=str(place), source=text, references=(SENTENCES[place - 1], "not looked at"))
    for place, text in enumerate(SENTENCES)
]
KINDS = ["marian", "t5", "llama", "gpt2"]


@pytest.fixture
def make(make_policy: MakePolicy) -> Callable[[str], Policy]:
    """Make policies that are not too sure, or unsure, of anything."""

    def build(kind: str) -> Policy:
        policy = make_policy("llama" if kind == "gpt2" else kind)
        if kind == "gpt2":  # whose last layer is not known: it goes through transformers
            config = GPT2Config(
                vocab_size=len(policy.tokenizer),
                n_positions=32,
                n_embd=16,
                n_layer=2,
                n_head=2,
                bos_token_id=None,
                eos_token_id=policy.end_id,
            )
            torch.manual_seed(1)
            model = GPT2LMHeadModel(config).eval()
            policy = DecoderOnly(model, policy.tokenizer, PromptSettings(template="say {source} :"))
        generator = torch.Generator().manual_seed(2)
        for weight in policy.model.parameters():
            weight.data += 0.3 * torch.randn(weight.shape, generator=generator)
        return policy

    return build


def models_own_log_probs(policy: Policy, source: list[int], target: list[int]) -> Tensor:
    """Ask transformers for the distributions of one reference, alone and without padding."""
    model = policy.model
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            before = [model.config.decoder_start_token_id, *target[:-1]]
            logits = model(
                input_ids=torch.tensor([source]), decoder_input_ids=torch.tensor([before])
            ).logits[0]
        else:
            logits = model(input_ids=torch.tensor([source + target])).logits[0, len(source) - 1 :]
    return logits[: len(target)].double().log_softmax(dim=-1)


def expected(policy: Policy) -> Peakiness:
    """Work all numbers out one token at a time, from sorted probabilities."""
    entropies, top_1, top_10, chosen, ranks = [], [], [], [], Counter[str]()
    for example in EXAMPLES:
        (source,) = policy.source_ids([example.source])
        (target,) = policy.target_ids([example.references[0]])
        for row, token in zip(models_own_log_probs(policy, source, target), target, strict=True):
            probs = [math.exp(value) for value in row.tolist()]
            entropies.append(-sum(p * math.log(p) for p in probs))
            top_1.append(max(probs))
            top_10.append(sum(sorted(probs)[-10:]))
            chosen.append(probs[token])
            rank = 1 + sum(p > probs[token] for p in probs)
            ranks["4-10" if 3 < rank <= 10 else "11-100" if rank > 10 else str(rank)] += 1
    count = len(chosen)
    return Peakiness(
        entropy=sum(entropies) / count,
        top_1_mass=sum(top_1) / count,
        top_10_mass=sum(top_10) / count,
        reference_probability=sum(chosen) / count,
        rank_shares={name: ranks[name] / count for name in RANKS},
    )


def agree(one: Peakiness | None, other: Peakiness | None, rel: float) -> None:
    assert one is not None
    assert other is not None
    first, second = asdict(one), asdict(other)
    assert first.pop("rank_shares") == pytest.approx(second.pop("rank_shares"), abs=1e-12)
    assert first == pytest.approx(second, rel=rel)


@pytest.mark.parametrize("kind", KINDS)
def test_all_numbers_are_those_of_the_model_s_own_logits(
    make: Callable[[str], Policy], kind: str
) -> None:
    policy = make(kind)
    found = measure_peakiness(policy, EXAMPLES, 2)
    agree(found, expected(policy), rel=1e-5)  # float32 against float64
    assert found is not None
    assert len([share for share in found.rank_shares.values() if share > 0.0]) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_batches_and_padding_change_nothing(make: Callable[[str], Policy], kind: str) -> None:
    policy = make(kind)
    alone = measure_peakiness(policy, EXAMPLES, 1)
    agree(measure_peakiness(policy, EXAMPLES, 5), alone, rel=1e-5)
    agree(measure_peakiness(policy, EXAMPLES[::-1], 3), alone, rel=1e-5)


class Told(DecoderOnly):
    """Has these distributions, whatever it is asked; there are two tokens, of four."""

    log_probs = torch.tensor([[0.5, 0.25, 0.125, 0.125], [1.0, 0.0, 0.0, 0.0]]).log()

    def distributions(self, sources, targets):  # type: ignore[no-untyped-def]
        yield self.log_probs, torch.tensor([3, 2])


def test_four_tokens_are_as_worked_by_hand(make_policy: MakePolicy) -> None:
    plain = make_policy("llama")
    policy = Told(plain.model, plain.tokenizer, PromptSettings())
    found = measure_peakiness(policy, EXAMPLES[:1], 1)
    # Tokens that are as likely share the better rank: 3 with two likelier, 2 with one.
    assert found == Peakiness(
        entropy=pytest.approx(1.75 * math.log(2) / 2, rel=1e-6),
        top_1_mass=0.75,
        top_10_mass=1.0,
        reference_probability=0.0625,
        rank_shares={"1": 0.0, "2": 0.5, "3": 0.5, "4-10": 0.0, "11-100": 0.0, "101+": 0.0},
    )


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 10, 11, 100, 101])
def test_a_rank_counts_in_its_group(make_policy: MakePolicy, rank: int) -> None:
    plain = make_policy("llama")
    policy = Told(plain.model, plain.tokenizer, PromptSettings())
    policy.distributions = lambda *_: [  # type: ignore[method-assign, assignment]
        (torch.arange(120.0, 0.0, -1.0).log_softmax(0).unsqueeze(0), torch.tensor([rank - 1]))
    ]
    found = measure_peakiness(policy, EXAMPLES[:1], 1)
    assert found is not None
    group = {1: "1", 2: "2", 3: "3", 4: "4-10", 10: "4-10", 11: "11-100", 100: "11-100"}
    assert found.rank_shares == {name: float(name == group.get(rank, "101+")) for name in RANKS}


def test_few_distributions_are_held_at_a_time(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "CHUNK", 3 * len(policy.tokenizer))
    targets = policy.pad(policy.target_ids(SENTENCES))
    given = Targets(ids=targets.ids, mask=targets.mask, sources=torch.arange(5))
    parts = list(policy.distributions(policy.tokenize_sources(SENTENCES), given))
    assert max(len(log_probs) for log_probs, _ in parts) == 3
    assert torch.equal(torch.cat([tokens for _, tokens in parts]), targets.ids[targets.mask])
    assert not any(log_probs.requires_grad for log_probs, _ in parts)


@pytest.mark.parametrize("architecture", ["marian", "llama"])
def test_references_without_room_are_left_out(make_policy: MakePolicy, architecture: str) -> None:
    policy = make_policy(architecture)
    long = Example(id="long", source="a dog", references=("dog " * 40,))
    agree(
        measure_peakiness(policy, [long, *EXAMPLES], 2),
        measure_peakiness(policy, EXAMPLES, 2),
        1e-5,
    )
    assert measure_peakiness(policy, [long], 2) is None


def test_a_reference_that_a_prompt_leaves_no_room_for_is_left_out(make_policy: MakePolicy) -> None:
    policy = make_policy("llama")
    both = Example(id="both", source="dog " * 14, references=("dog " * 14,))
    assert measure_peakiness(policy, [both], 2) is None


def test_policies_are_averaged_each_counting_the_same() -> None:
    def of(value: float) -> Peakiness:
        return Peakiness(
            entropy=value,
            top_1_mass=value / 4,
            top_10_mass=value / 2,
            reference_probability=value / 8,
            rank_shares=dict.fromkeys(RANKS, value / 16),
        )

    assert mean_peakiness([of(1.0), of(2.0)]) == of(1.5)
