"""How far the policy has moved from the pretrained one."""

from torch import Tensor


def kl_estimate(log_probs: Tensor, pretrained_log_probs: Tensor) -> Tensor:
    """Estimate KL(policy || pretrained) of each candidate in nats, [B, K].

    Summed over tokens of ``exp(d) - 1 - d`` with ``d = log pretrained - log policy``: unbiased
    where the candidates come from the policy, never negative, and exactly 0 where the two agree
    (Schulman, 2020, "Approximating KL divergence", k3).
    """
    difference = pretrained_log_probs - log_probs
    return (difference.expm1() - difference).sum(dim=-1)
