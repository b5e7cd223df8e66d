"""How far the policy has moved from the pretrained one, and what that costs."""

from torch import Tensor

from goa.objectives.contract import Batch, Loss, OverCandidates, given


def kl_estimate(log_probs: Tensor, pretrained_log_probs: Tensor) -> Tensor:
    """Estimate KL(policy || pretrained) of each candidate in nats, [B, K].

    Summed over tokens of ``exp(d) - 1 - d`` with ``d = log pretrained - log policy``: unbiased
    where the candidates come from the policy, never negative, and exactly 0 where the two agree
    (Schulman, 2020, "Approximating KL divergence", k3).
    """
    difference = pretrained_log_probs - log_probs
    return (difference.expm1() - difference).sum(dim=-1)


def prices(written: Tensor, pretrained: Tensor, weight: float) -> Tensor:
    """Price each token: ``weight log(p(y_t) / pretrained(y_t))``, [B, K, T], in units of reward.

    Args:
        written: [B, K, T] log-probs of the candidates under the policy that wrote them.
        pretrained: [B, K, T] log-probs under the pretrained policy.
        weight: reward per nat.

    What maximises the expected reward less the sum of its tokens' prices maximises the expected
    reward less ``weight`` times the divergence (Jaques et al., 2017, eq. 7).
    """
    return weight * (written - pretrained)


class Divergence(OverCandidates):
    """The divergence as a term of the loss: :func:`kl_estimate`, weight: candidates.

    Its gradient at the pretrained policy is 0; away from it, it pulls back more strongly than the
    divergence itself where the policy has become much less likely to say what it said (the estimate
    grows with ``pretrained / p``), and it leaves out how the candidates' own probabilities change
    (Shao et al., 2024, eq. 4, do the same).
    """

    def __call__(self, batch: Batch) -> Loss:
        """Sum the divergence over the candidates.

        Raises:
            ValueError: the batch lacks the pretrained policy's log-probs.
        """
        pretrained = given(batch.pretrained_log_probs, "the pretrained log-probs", "divergence")
        return Loss(sum=kl_estimate(batch.log_probs, pretrained).sum())
