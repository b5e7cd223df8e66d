"""How far an estimate of the gradient is off, by baseline and number of candidates."""

import matplotlib.pyplot as plt
import numpy as np

NUM_OUTPUTS, ESTIMATES = 20, 4000
COUNTS = (2, 4, 8, 16, 32)

draws = np.random.default_rng(17)
logits = draws.normal(size=NUM_OUTPUTS)
probabilities = np.exp(logits) / np.exp(logits).sum()
rewards = 0.4 + 0.2 * draws.random(NUM_OUTPUTS)
exact = probabilities * (rewards - probabilities @ rewards)


def error(baseline: str, count: int) -> float:
    """Give the mean squared error of estimates from so many candidates."""
    drawn = draws.choice(NUM_OUTPUTS, size=(ESTIMATES, count), p=probabilities)
    earned = rewards[drawn]
    mean = earned.mean(axis=1, keepdims=True)
    taken_off = {
        "none": 0.0,
        "greedy": rewards[probabilities.argmax()],
        "mean": mean,
        "leave_one_out": (mean * count - earned) / (count - 1),
    }[baseline]
    scores = np.eye(NUM_OUTPUTS)[drawn] - probabilities
    estimates = ((earned - taken_off)[..., None] * scores).mean(axis=1)
    return float(np.square(estimates - exact).sum(axis=1).mean())


figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
for baseline, marker in zip(("none", "greedy", "mean", "leave_one_out"), "osv^", strict=True):
    axes.loglog(COUNTS, [error(baseline, k) for k in COUNTS], marker=marker, label=baseline)
axes.set_xticks(COUNTS, [str(k) for k in COUNTS], minor=False)
axes.minorticks_off()
axes.set_xlabel("candidates a source, K")
axes.set_ylabel("mean squared error")
axes.legend(frameon=False)
