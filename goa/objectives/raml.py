"""Likelihood of candidates, weighted by how much the evaluator likes them."""

from typing import Literal

from pydantic import Field

from goa.objectives.contract import Batch, Loss, Need, OverSources, given
from goa.settings import Settings


class RamlSettings(Settings):
    """Maximum likelihood towards a distribution that the evaluator defines."""

    kind: Literal["raml"]
    temperature: float = Field(0.1, gt=0.0, le=100.0)
    """In units of reward: what is this much better is e times as likely in the target."""
    base: Literal["pretrained", "uniform"] = "pretrained"
    """What the target falls back to where rewards are equal: the pretrained policy, as in Khalifa
    et al. (2021), or all outputs alike, as in Norouzi et al. (2016)."""


class Raml(OverSources):
    """Reward-augmented maximum likelihood (Norouzi et al., 2016, eqs. 4-7).

    The target is ``q(y) = base(y) exp(r(y) / temperature) / Z``: an energy-based model whose energy
    is the evaluator's (Khalifa et al., 2021, eq. 1). ``loss = -sum_y v(y) log p(y)`` with weights
    ``v(y) = q(y) / written(y)``, normalised to sum to 1 over the source's candidates. Weight:
    sources.

    Departures from the papers:

    1. Candidates come from the policy, not from edits of the reference (Norouzi et al. draw from
       the target by edit distance): importance weights, self-normalised over K, make up for it.
       They are exact only as K grows.
    2. Z is never estimated; normalising over the candidates cancels it.
    """

    needs: frozenset[Need] = frozenset({"draws"})

    def __init__(self, settings: RamlSettings) -> None:
        self.settings = settings

    def __call__(self, batch: Batch) -> Loss:
        """Compute the loss of candidates that come with rewards and the log-probs of their writer.

        Raises:
            ValueError: the batch lacks one of these, or the base's log-probs.
        """
        rewards = given(batch.rewards, "rewards", "raml")
        written = given(batch.written_log_probs, "the writer's log-probs", "raml").sum(dim=-1)
        log_weights = rewards / self.settings.temperature - written
        if self.settings.base == "pretrained":
            base = given(batch.pretrained_log_probs, "the pretrained policy's log-probs", "raml")
            log_weights = log_weights + base.sum(dim=-1)
        weights = log_weights.softmax(dim=-1)
        count = float(len(rewards))
        # How many candidates the weights amount to (Kish, 1965): 1 where one has it all.
        effective = float((1 / weights.square().sum(dim=-1)).sum())
        return Loss(
            sum=-(weights * batch.log_probs.sum(dim=-1)).sum(),
            diagnostics={"effective_candidates": (effective, count)},
        )
