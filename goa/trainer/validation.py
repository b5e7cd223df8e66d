"""What the best policy of pretraining is chosen by."""

from collections.abc import Iterator

import torch

from goa.data.corpus import Corpus
from goa.policies.policy import Policy
from goa.records import Example
from goa.trainer.contract import Validation
from goa.trainer.team import Team

SOURCES_PER_BATCH = 64


class LikelihoodValidation:
    """Negative log-likelihood per token, in nats, of the first reference of each source."""

    def __init__(
        self, policy: Policy, corpus: Corpus, num_sources: int | None, team: Team | None = None
    ) -> None:
        self.team = team or Team()
        self.policy = policy
        self.corpus = corpus
        self.num_sources = min(num_sources or len(corpus), len(corpus))

    @torch.no_grad()
    def __call__(self) -> Validation:
        """Look at the validation split with the policy as it is now."""
        log_prob, num_tokens = 0.0, 0
        for examples in batches(self.corpus, self.num_sources, self.team):
            sources = self.policy.tokenize_sources([example.source for example in examples])
            references = [example.references[0] for example in examples]
            targets = self.policy.pad(self.policy.target_ids(references))
            ids, mask = targets.ids.unsqueeze(1), targets.mask.unsqueeze(1)
            log_prob += float(self.policy.score(sources, ids, mask).log_probs.sum())
            num_tokens += int(mask.sum())
        log_prob, total_tokens = self.team.totals([log_prob, num_tokens])
        loss = -log_prob / total_tokens
        return Validation(score=-loss, values={"validation_loss": loss})


def batches(corpus: Corpus, num_sources: int, team: Team) -> Iterator[list[Example]]:
    """Take the first examples, some at a time, and of these batches the process's own."""
    for start in range(0, num_sources, SOURCES_PER_BATCH)[team.share]:
        yield corpus.rows(list(range(start, min(start + SOURCES_PER_BATCH, num_sources))))
