"""The kinds of evaluators that stand alone: one line each, here and nowhere else.

A new kind is a file with its settings model (a ``kind``, and ``build(name)``) beside its class, a
line below, and its test.
"""

from goa.evaluators.bertscore import BertscoreSettings
from goa.evaluators.bleu import BleuSettings
from goa.evaluators.chrf import ChrfSettings
from goa.evaluators.classifier import ClassifierSettings
from goa.evaluators.discriminator import DiscriminatorSettings, EnergySettings
from goa.evaluators.distinct import DistinctSettings
from goa.evaluators.diversity import DiversitySettings
from goa.evaluators.format import FormatSettings
from goa.evaluators.http import HttpSettings
from goa.evaluators.length import LengthSettings
from goa.evaluators.python import PythonSettings
from goa.evaluators.relevance import RelevanceSettings
from goa.evaluators.repetition import RepetitionSettings
from goa.evaluators.rouge import RougeSettings
from goa.evaluators.rule import RuleSettings
from goa.evaluators.sentiment import SentimentConsistencySettings
from goa.evaluators.ter import TerSettings
from goa.evaluators.tfidf import TfidfSettings

Single = (
    BleuSettings
    | ChrfSettings
    | TerSettings
    | RougeSettings
    | RuleSettings
    | RelevanceSettings
    | TfidfSettings
    | DiversitySettings
    | SentimentConsistencySettings
    | DistinctSettings
    | RepetitionSettings
    | LengthSettings
    | FormatSettings
    | DiscriminatorSettings
    | EnergySettings
    | ClassifierSettings
    | BertscoreSettings
    | PythonSettings
    | HttpSettings
)  # fmt: skip
