"""The test split written and scored afresh, the same way for every policy that is put to it."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from goa.data.corpus import open_split
from goa.evaluation.bootstrap import Bootstrap
from goa.evaluation.measure import evaluate
from goa.evaluation.storage import PolicyEvaluation
from goa.evaluators.contract import Evaluator, pair_samples
from goa.evaluators.table import build_metric
from goa.policies.compute import set_up, use_device
from goa.policies.storage import load_policy
from goa.records import Example
from pipelines.decoding import decode
from pipelines.scoring import load_learnt

if TYPE_CHECKING:
    from goa.config import Params


class Retest:
    """One test set, one way of decoding, and some measures.

    Args:
        params: what params.yaml says now.
        strategy: the way of decoding, by name.
        measures: metrics, evaluators, or parts of them, by name.

    Raises:
        GoaError: there is no test split, or a measure cannot be built.
    """

    def __init__(self, params: "Params", strategy: str, measures: Sequence[str]) -> None:
        self._params = params
        self._strategy = strategy
        self._examples = tuple(open_split(Path("out/data"), "test"))
        self.digest = digest_of(self._examples)
        known = params.evaluate.measured_by(params.evaluators)
        wanted = dict.fromkeys(name.partition(".")[0] for name in measures)
        self._settings = {name: known[name] for name in wanted}
        self._metrics = [build_metric(name, each) for name, each in self._settings.items()]
        # What the way of decoding chooses by is built beside them, measured or not.
        judge = getattr(params.evaluate.strategies[strategy], "evaluator", None)
        built = [*self._metrics, *([build_metric(judge, known[judge])] if judge else [])]
        self._judges = {each.name: each for each in built if isinstance(each, Evaluator)}
        for evaluator in self._judges.values():
            load_learnt(evaluator)

    def __call__(self, policy: Path, name: str) -> PolicyEvaluation:
        """Write the test split with the policy in a folder, and measure what it wrote.

        Raises:
            PolicyError: the policy cannot be used.
            EvaluatorError: an evaluator cannot score a text.
        """
        texts = tuple(self._decode(policy))
        bootstrap = Bootstrap(seed=self._params.seed, resamples=1)  # intervals are not looked at
        found = evaluate(pair_samples(self._examples, texts), self._metrics, bootstrap)
        return PolicyEvaluation(
            policy=name,
            bootstrap=bootstrap,
            metrics=self._settings,
            examples=self._examples,
            outputs={self._strategy: texts},
            evaluations={self._strategy: found},
        )

    def _decode(self, folder: Path) -> list[str]:
        compute, evaluation = self._params.compute, self._params.evaluate
        device = use_device(compute, compute.threads.evaluate)
        policy = load_policy(folder, device)
        set_up(policy, compute, dropout=False)
        size, strategy = evaluation.sources_per_batch, evaluation.strategies[self._strategy]
        return [
            text
            for start in range(0, len(self._examples), size)
            for text in decode(
                policy,
                self._examples[start : start + size],
                strategy,
                self._params.seed,
                self._judges,
            )
        ]


def digest_of(examples: Sequence[Example]) -> str:
    """Name a test set by its content: ids, sources and references, in their order."""
    digest = hashlib.sha256()
    for example in examples:
        row = [example.id, example.source, *example.references]
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()
