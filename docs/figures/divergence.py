"""What a policy can earn at each distance from the pretrained one, exactly."""

import matplotlib.pyplot as plt
import numpy as np

NUM_OUTPUTS = 200
PRICES = (0.5, 0.2, 0.1, 0.05, 0.02)

draws = np.random.default_rng(17)
log_pretrained = draws.normal(scale=1.5, size=NUM_OUTPUTS)
rewards = np.clip(0.4 + 0.12 * draws.normal(size=NUM_OUTPUTS), 0.0, 1.0)
rare = np.argsort(log_pretrained)[:2]
rewards[rare] = 1.0
log_pretrained -= np.log(np.exp(log_pretrained).sum())


def best_at(price: float) -> tuple[float, float]:
    """Give divergence and expected reward of what maximises the reward less the price."""
    log_policy = log_pretrained + rewards / price
    log_policy -= log_policy.max()
    policy = np.exp(log_policy) / np.exp(log_policy).sum()
    apart = policy @ (np.log(np.maximum(policy, 1e-300)) - log_pretrained)
    return float(apart), float(policy @ rewards)


figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.plot(*zip(*map(best_at, np.geomspace(10, 0.012, 300)), strict=True))
for price in PRICES:
    at = best_at(price)
    axes.plot(*at, "o", color="C0")
    axes.annotate(f"w = {price}", at, xytext=(8, -12), textcoords="offset points")
axes.margins(x=0.14)
axes.set_xlabel("divergence from the pretrained policy, nats")
axes.set_ylabel("expected reward")
