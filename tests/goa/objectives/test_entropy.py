"""The entropy bonus against the entropy worked out from all next tokens."""

from collections.abc import Callable

import pytest
import torch

from goa.objectives.contract import Batch
from goa.objectives.entropy import Entropy
from goa.policies.policy import Policy
from tests.conftest import SENTENCES


def test_its_gradient_raises_the_entropy_of_every_position(
    make_policy: Callable[..., Policy],
) -> None:
    policy = make_policy()
    policy.model.double()
    targets = policy.pad(policy.target_ids(SENTENCES[:3]))
    sources = policy.tokenize_sources(SENTENCES[:3])
    scores = policy.score(sources, targets.ids[:, None], targets.mask[:, None], entropy="gradient")
    batch = Batch(
        mask=targets.mask[:, None],
        log_probs=scores.log_probs,
        mean_log_probs=scores.mean_log_probs,
        entropy=scores.entropy,
    )
    loss = Entropy()(batch).sum
    logits = policy.model(
        input_ids=sources.ids,
        attention_mask=sources.mask.long(),
        decoder_input_ids=torch.cat(
            [torch.full((3, 1), policy.start_id), targets.ids[:, :-1]], dim=1
        ),
    ).logits
    exact = -torch.distributions.Categorical(logits=logits[targets.mask]).entropy().sum()
    assert float(loss.detach()) == pytest.approx(float(exact.detach()), rel=1e-9)
    weights = [weight for weight in policy.model.parameters() if weight.requires_grad]
    found, expected = (
        torch.autograd.grad(value, weights, allow_unused=True) for value in (loss, exact)
    )
    for one, other in zip(found, expected, strict=True):
        assert (one is None and other is None) or torch.allclose(one, other, atol=1e-9)
    assert Entropy().weigh(batch.mask, None) == float(targets.mask.sum())
