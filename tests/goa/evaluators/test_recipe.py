"""What settings say of scores."""

import pytest

from goa.evaluators.classifier import ClassifierSettings
from goa.evaluators.composite import CompositePartSettings, CompositeSettings
from goa.evaluators.diversity import DiversitySettings
from goa.evaluators.http import HttpSettings
from goa.evaluators.length import LengthSettings
from goa.evaluators.python import PythonSettings
from goa.evaluators.recipe import Recipe
from goa.evaluators.relevance import RelevanceSettings
from goa.evaluators.repetition import RepetitionSettings
from goa.evaluators.rule import RuleSettings
from goa.evaluators.sentiment import SentimentConsistencySettings
from goa.evaluators.tfidf import TfidfSettings

URL = "http://127.0.0.1:1/"
AGAINST_SOURCE = RuleSettings(against="source", sentiment_consistency=0.0)


def both(**normalise: str) -> CompositeSettings:
    """Two parts, of which one reads the source."""
    return CompositeSettings(
        parts={
            "length": CompositePartSettings(evaluator=LengthSettings(against="source")),
            "loops": CompositePartSettings(evaluator=RepetitionSettings(), **normalise),  # type: ignore[arg-type]
        }
    )


@pytest.mark.parametrize(
    ("recipe", "influences"),
    [
        (RelevanceSettings(against="both"), {"references"}),
        (RelevanceSettings(against="source"), set()),
        (TfidfSettings(against="source"), set()),
        (SentimentConsistencySettings(against="source"), set()),
        (LengthSettings(), {"references"}),
        (LengthSettings(against="source"), set()),
        (RuleSettings(against="source"), {"references"}),  # of the sentiment
        (AGAINST_SOURCE, set()),
        (RuleSettings(relevance=0.0, sentiment_consistency=0.0), set()),
        (DiversitySettings(within="source"), {"batch"}),
        (ClassifierSettings(model="x"), set()),
        (ClassifierSettings(model="x", reads="candidate_with_source"), set()),
        (ClassifierSettings(model="x", reads="candidate_with_reference"), {"references"}),
        (PythonSettings(function="a:b"), {"references"}),
        (
            PythonSettings(function="a:b", reads_references=False, reads_batch=True, seed=1),
            {"batch", "chance"},
        ),
        (HttpSettings(url=URL), {"references"}),
        (HttpSettings(url=URL, reads_references=False, draws=True), {"chance"}),
        (both(), set()),
        (both(normalise="rank"), {"batch"}),
        (
            CompositeSettings(parts={"rule": CompositePartSettings(evaluator=RuleSettings())}),
            {"references"},
        ),
    ],
)
def test_settings_say_what_scores_hang_on(recipe: Recipe, influences: set[str]) -> None:
    assert recipe.hangs_on == influences


def test_saying_that_references_are_not_read_makes_no_other_evaluator() -> None:
    told = HttpSettings(url=URL, reads_references=False).build("x")
    assert told.signature == HttpSettings(url=URL).build("x").signature
    function = "statistics:mean"
    called = PythonSettings(function=function, reads_references=False).build("x")
    assert called.signature == PythonSettings(function=function).build("x").signature
