"""The signatures that sacrebleu puts on its scores."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as SacrebleuMetric


def sacrebleu_signature(label: str, metric: "SacrebleuMetric", **beyond: object) -> str:
    """Write sacrebleu's signature after its label, and what it leaves out after that.

    The number of references stands as ``var``: it belongs to the data, and an evaluator is made
    before it sees any.
    """
    metric.num_refs = -1
    pairs = [f"{key}:{value}" for key, value in beyond.items()]
    return "|".join([label, metric.get_signature().format(), *pairs])
