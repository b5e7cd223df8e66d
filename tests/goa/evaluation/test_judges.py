"""Which evaluators may choose."""

import pytest

from goa.decoding.settings import BestOfSettings, ChoosingSettings, MbrSettings
from goa.errors import SettingsError
from goa.evaluation.judges import check_judge
from goa.evaluators.bleu import BleuSettings
from goa.evaluators.chrf import ChrfSettings
from goa.evaluators.discriminator import DiscriminatorSettings, EnergySettings
from goa.evaluators.diversity import DiversitySettings
from goa.evaluators.length_ratio import LengthRatioSettings
from goa.evaluators.python import PythonSettings
from goa.evaluators.repetition import RepetitionSettings
from goa.evaluators.table import MetricSettings

KNOWN: dict[str, MetricSettings] = {
    "bleu": BleuSettings(),
    "chrf": ChrfSettings(),
    "disc": DiscriminatorSettings(),
    "energy": EnergySettings(),
    "loops": RepetitionSettings(),
    "unlike": DiversitySettings(within="source"),
    "mine": PythonSettings(function="a:b"),
    "mine_alone": PythonSettings(function="a:b", reads_references=False),
    "lucky": PythonSettings(function="a:b", seed=1),
    "ratio": LengthRatioSettings(),
}


def best_of(name: str) -> BestOfSettings:
    return BestOfSettings(kind="best_of", evaluator=name)


def mbr(name: str) -> MbrSettings:
    return MbrSettings(kind="mbr", evaluator=name)


@pytest.mark.parametrize(
    "strategy",
    [*map(best_of, ["disc", "energy", "loops", "mine_alone"]), *map(mbr, ["bleu", "chrf", "mine"])],
    ids=str,
)
def test_best_of_asks_about_candidates_and_mbr_about_pairs(strategy: ChoosingSettings) -> None:
    check_judge("evaluate.strategies.x", strategy, KNOWN)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (best_of("bleu"), "x.evaluator: 'bleu' reads references, which a decoder does not have"),
        (best_of("mine"), "reads references"),
        (mbr("energy"), "'energy' reads no references, .*; use kind best_of"),
        (best_of("unlike"), "'unlike' compares the samples of a batch"),
        (mbr("unlike"), "compares the samples of a batch"),
        (mbr("lucky"), "'lucky' draws at random"),
        (best_of("lucky"), "'lucky' draws at random"),
        (mbr("chrv"), "'chrv' is no name under evaluators .*; did you mean chrf"),
        (mbr("zzz"), "there are: bleu, chrf"),
        (mbr("ratio"), "is of kind length_ratio, which measures whole sets"),
    ],
    ids=str,
)
def test_who_may_not_choose_is_refused(strategy: ChoosingSettings, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_judge("evaluate.strategies.x", strategy, KNOWN)
