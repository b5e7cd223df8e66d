"""Which samples of a call are for the same source."""

from goa.evaluators.siblings import siblings
from goa.records import Example, Sample


def test_rows_of_equal_examples_stand_together_and_equal_ids_alone_are_not_enough() -> None:
    examples = [Example(id="a", source=source, references=("r",)) for source in "xyx"]
    samples = [Sample(example=example, candidate="c") for example in examples]
    assert siblings(samples) == [[0, 2], [1]]


def test_no_samples_have_no_sources() -> None:
    assert siblings([]) == []
