"""Maximum likelihood is cross-entropy."""

import pytest
import torch

from goa.objectives.contract import Batch
from goa.objectives.likelihood import Likelihood, LikelihoodSettings
from goa.policies.policy import Policy
from tests.conftest import SENTENCES


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_agrees_with_torchs_cross_entropy(policy: Policy, smoothing: float) -> None:
    targets = policy.pad(policy.target_ids(SENTENCES[:3]))
    sources = policy.tokenize_sources(SENTENCES[:3])
    scores = policy.score(sources, targets.ids[:, None], targets.mask[:, None])
    batch = Batch(
        mask=targets.mask[:, None],
        log_probs=scores.log_probs,
        mean_log_probs=scores.mean_log_probs,
    )
    objective = Likelihood(LikelihoodSettings(kind="likelihood", label_smoothing=smoothing))
    loss = objective(batch)
    nll = -float(scores.log_probs.detach().sum())
    assert loss.diagnostics == {"nll": (pytest.approx(nll), float(targets.mask.sum()))}
    logits = policy.model(
        input_ids=sources.ids,
        attention_mask=sources.mask.long(),
        decoder_input_ids=torch.cat(
            [torch.full((3, 1), policy.start_id), targets.ids[:, :-1]], dim=1
        ),
    ).logits
    expected = torch.nn.functional.cross_entropy(
        logits[targets.mask], targets.ids[targets.mask], label_smoothing=smoothing
    )
    assert float(loss.sum.detach() / objective.weigh(batch.mask, None)) == pytest.approx(
        float(expected.detach()), abs=1e-5
    )


def test_the_weight_is_the_number_of_tokens() -> None:
    mask = torch.tensor([[[True, True, False]], [[True, False, False]]])
    assert Likelihood(LikelihoodSettings(kind="likelihood")).weigh(mask, None) == 3.0
