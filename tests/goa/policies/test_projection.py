"""What is said of tokens, made chunk by chunk, held against whole distributions."""

import pytest
import torch
from torch import Tensor

from goa.policies import projection
from goa.policies.output_head import Head
from goa.policies.projection import Said, project, read_off
from goa.policies.tokens import WantedEntropy

NUM_TOKENS, VOCAB, WIDTH = 11, 7, 3


@pytest.fixture
def parts() -> dict[str, Tensor]:
    """Make states, weights and bias that a gradient can be had of."""
    generator = torch.Generator().manual_seed(4)

    def make(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    return {"states": make(NUM_TOKENS, WIDTH), "weight": make(VOCAB, WIDTH), "bias": make(VOCAB)}


TOKENS = torch.arange(NUM_TOKENS) % VOCAB


def head(parts: dict[str, Tensor], scale: float = 1.0) -> Head:
    return Head(weight=parts["weight"], bias=parts["bias"], scale=scale, dtype=torch.float64)


def gradients(said: Said, parts: dict[str, Tensor], weights: tuple[float, ...]) -> list[Tensor]:
    """Take the gradient of a sum in which each token weighs otherwise."""
    by_token = torch.arange(NUM_TOKENS, dtype=torch.float64).sin()
    values = (said.log_probs, said.mean_log_probs, said.entropy)
    loss = sum(
        weight * (by_token * value).sum()
        for weight, value in zip(weights, values, strict=True)
        if weight and value is not None
    )
    assert isinstance(loss, Tensor)
    return list(torch.autograd.grad(loss, list(parts.values())))


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("chunk", [1, 3 * VOCAB, 100 * VOCAB])
@pytest.mark.parametrize("weights", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, -2, 3)], ids=str)
def test_values_and_gradients_are_those_of_whole_distributions(
    parts: dict[str, Tensor],
    scale: float,
    chunk: int,
    weights: tuple[float, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(projection, "CHUNK", chunk)
    found = project(parts["states"], head(parts, scale), TOKENS, "gradient")
    logits = parts["states"] * scale @ parts["weight"].t() + parts["bias"]
    expected = read_off(logits, TOKENS, "gradient")
    for name in ("log_probs", "mean_log_probs", "entropy"):
        torch.testing.assert_close(
            getattr(found, name), getattr(expected, name), rtol=1e-12, atol=0
        )
    both = (gradients(said, parts, weights) for said in (found, expected))
    for one, other in zip(*both, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("entropy", "learns"), [("value", False), ("gradient", True)])
def test_entropies_have_a_gradient_only_where_it_is_wanted(
    parts: dict[str, Tensor], entropy: WantedEntropy, learns: bool
) -> None:
    said = project(parts["states"], head(parts), TOKENS, entropy)
    assert said.entropy is not None
    assert said.entropy.requires_grad is learns
    assert project(parts["states"], head(parts), TOKENS, "none").entropy is None


def test_no_distribution_is_kept_for_the_way_back(
    parts: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection, "CHUNK", 2 * VOCAB)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.numel()) or tensor,  # type: ignore[func-returns-value]
        lambda tensor: tensor,
    ):
        said = project(parts["states"], head(parts), TOKENS, "value")
    assert said.log_probs.requires_grad
    assert max(kept) <= max(NUM_TOKENS * WIDTH, VOCAB * WIDTH) < NUM_TOKENS * VOCAB


def test_what_nothing_is_learnt_from_is_not_made_again(
    parts: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    make = projection._Logits.less

    def watched(logits: projection._Logits, rows: slice, *offsets: Tensor) -> Tensor:
        found = make(logits, rows, *offsets)
        made.append(len(found))
        return found

    monkeypatch.setattr(projection._Logits, "less", watched)
    said = project(parts["states"], head(parts), TOKENS, "none")
    said.log_probs[3:5].sum().backward()
    assert made == [NUM_TOKENS, 2]


def test_products_in_bfloat16_give_float32_and_gradients_of_the_weights_own_kind() -> None:
    weight = torch.randn(VOCAB, WIDTH, requires_grad=True)
    states = torch.randn(NUM_TOKENS, WIDTH, requires_grad=True)
    bias = torch.arange(float(VOCAB))
    narrow = Head(weight=weight, bias=bias, scale=1.0, dtype=torch.bfloat16)
    said = project(states, narrow, TOKENS, "none")
    said.log_probs.sum().backward()
    assert said.log_probs.dtype == torch.float32
    exact = (states.detach() @ weight.detach().t() + bias).log_softmax(dim=-1)
    chosen = exact.gather(1, TOKENS.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(said.log_probs.detach(), chosen, atol=0.05, rtol=0)
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    assert bool((weight.grad != 0).all())


def test_weights_that_are_not_trained_need_no_gradient() -> None:
    states = torch.randn(NUM_TOKENS, WIDTH, requires_grad=True)
    weight = torch.randn(VOCAB, WIDTH)
    fixed = Head(weight=weight, bias=torch.zeros(VOCAB), scale=1.0, dtype=torch.float32)
    project(states, fixed, TOKENS, "none").log_probs.sum().backward()
    assert states.grad is not None
    assert weight.grad is None
