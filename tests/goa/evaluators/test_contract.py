"""What holds every evaluator to its contract."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from goa import __version__
from goa.errors import EvaluatorError
from goa.evaluators.contract import (
    Evaluator,
    FloatArray,
    applicable,
    checked_score,
    describe,
    pair_samples,
    ratio,
)
from goa.records import Example, Sample, Scores
from goa.settings import Settings

EXAMPLE = Example(id="e7", source="s", references=("r",))


class Scripted(Evaluator):
    """Answers what it is told to."""

    name = "scripted"
    signature = "scripted"

    def __init__(self, answer: Callable[[Sequence[Sample]], Scores]) -> None:
        self.answer = answer
        self.seen: list[Sample] = []

    def score(self, samples: Sequence[Sample]) -> Scores:
        self.seen += samples
        return self.answer(samples)


def give(*values: float | None) -> Scripted:
    return Scripted(lambda _: Scores(values=values))


def write(*candidates: str) -> list[Sample]:
    return pair_samples([EXAMPLE] * len(candidates), candidates)


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(EvaluatorError, match="3 candidates for 2 examples"):
        pair_samples([EXAMPLE] * 2, ["a", "b", "c"])


def test_candidate_i_stands_beside_example_i() -> None:
    other = Example(id="e8", source="s", references=("r",))
    pairs = pair_samples([EXAMPLE, other], ["a", "b"])
    assert [(pair.example.id, pair.candidate) for pair in pairs] == [("e7", "a"), ("e8", "b")]


def test_a_missing_score_is_an_error_that_names_the_evaluator() -> None:
    with pytest.raises(EvaluatorError, match="scripted: gave 1 scores for 2 samples"):
        checked_score(give(0.5), write("a", "b"))


@pytest.mark.parametrize("value", [1.1, -0.1, 1 + 2e-9, float("nan"), float("inf")])
def test_a_value_outside_the_unit_interval_is_an_error_that_shows_the_sample(value: float) -> None:
    with pytest.raises(EvaluatorError, match=r"scripted: gave .*example 'e7', candidate 'worse'"):
        checked_score(give(0.5, value), write("good", "worse"))


@pytest.mark.parametrize("value", [1.1, -0.1])
def test_values_that_are_all_outside_of_it_are_no_better(value: float) -> None:
    with pytest.raises(EvaluatorError, match=r"which is not in \[0, 1\], to example 'e7'"):
        checked_score(give(value), write("a"))


def test_a_part_outside_the_unit_interval_is_named() -> None:
    broken = Scripted(lambda _: Scores(values=(0.5,), parts={"tone": (2.0,)}))
    with pytest.raises(EvaluatorError, match="scripted, tone: gave 2.0"):
        checked_score(broken, write("a"))


def test_a_value_that_is_no_number_is_an_error() -> None:
    with pytest.raises(EvaluatorError, match=r"scripted: gave 'high', no number, to example 'e7'"):
        checked_score(give("high"), write("a"))  # type: ignore[arg-type]


def fail_on(candidate: str) -> Callable[[Sequence[Sample]], Scores]:
    def answer(samples: Sequence[Sample]) -> Scores:
        if candidate in [sample.candidate for sample in samples]:
            raise KeyError("lexicon")
        return Scores(values=(0.5,) * len(samples))

    return answer


@pytest.mark.parametrize("bad", ["a", "c", "e"])
def test_an_evaluator_that_fails_is_named_with_the_sample_it_fails_on(bad: str) -> None:
    message = f"evaluator scripted: example 'e7', candidate '{bad}': KeyError: 'lexicon'"
    with pytest.raises(EvaluatorError, match=f"^{message}$"):
        checked_score(Scripted(fail_on(bad)), write("a", "b", "c", "d", "e"))


def test_an_evaluator_that_fails_on_a_batch_alone_is_named_with_the_batch() -> None:
    def answer(samples: Sequence[Sample]) -> Scores:
        if len(samples) > 1:
            raise MemoryError("too many")
        return Scores(values=(0.5,))

    with pytest.raises(EvaluatorError, match="a batch of 3 samples: MemoryError: too many"):
        checked_score(Scripted(answer), write("a", "b", "c"))


def test_what_was_noted_on_an_error_is_told_with_it() -> None:
    def answer(_: Sequence[Sample]) -> Scores:
        error = KeyError("lexicon")
        error.add_note("It is made by `make lexicon`.")
        raise error

    with pytest.raises(
        EvaluatorError, match=r"KeyError: 'lexicon' It is made by `make lexicon`\.$"
    ):
        checked_score(Scripted(answer), write("a"))


@pytest.mark.parametrize("trait", ["reads_batch", "draws"])
def test_what_hangs_on_the_batch_or_on_chance_sees_every_sample(trait: str) -> None:
    evaluator = give(0.1, 0.2)
    setattr(evaluator, trait, True)
    assert checked_score(evaluator, write("a", "a")).values == (0.1, 0.2)


def test_rounding_is_put_back_into_the_unit_interval() -> None:
    assert checked_score(give(1 + 1e-12, -1e-12), write("a", "b")).values == (1.0, 0.0)


def test_none_stays_none() -> None:
    assert checked_score(give(None, 0.5), write("a", "b")).values == (None, 0.5)


def test_an_example_without_reference_is_an_error() -> None:
    bare = Sample(example=Example(id="e9", source="s", references=()), candidate="a")
    with pytest.raises(EvaluatorError, match="'e9'.* has no reference"):
        checked_score(give(0.5), [bare])


def test_a_long_candidate_is_not_shown_whole() -> None:
    with pytest.raises(EvaluatorError) as caught:
        checked_score(give(2.0), write("x" * 10_000))
    assert len(str(caught.value)) < 300


def test_equal_samples_are_scored_once_and_order_is_kept() -> None:
    lengths = Scripted(lambda samples: Scores(values=tuple(len(s.candidate) / 9 for s in samples)))
    values = checked_score(lengths, write("bb", "a", "bb", "ccc")).values
    assert values == (2 / 9, 1 / 9, 2 / 9, 3 / 9)
    assert [sample.candidate for sample in lengths.seen] == ["bb", "a", "ccc"]


def test_parts_of_equal_samples_are_in_their_order_too() -> None:
    def answer(samples: Sequence[Sample]) -> Scores:
        lengths = tuple(len(sample.candidate) / 9 for sample in samples)
        return Scores(values=lengths, parts={"again": lengths, "none": (None,) * len(samples)})

    found = checked_score(Scripted(answer), write("bb", "a", "bb"))
    assert found.parts == {"again": (2 / 9, 1 / 9, 2 / 9), "none": (None, None, None)}


def test_equal_candidates_for_different_examples_are_different_samples() -> None:
    other = Example(id="e8", source="s", references=("r",))
    values = checked_score(give(0.1, 0.2), pair_samples([EXAMPLE, other], ["a", "a"])).values
    assert values == (0.1, 0.2)


def test_no_samples_give_no_scores() -> None:
    assert checked_score(give(), []).values == ()


def test_the_corpus_score_is_the_mean_over_samples_that_have_a_value() -> None:
    evaluator = give(0.2, None, 0.6)
    statistics = evaluator.statistics(write("a", "b", "c"))
    np.testing.assert_allclose(evaluator.corpus(statistics.sum(axis=0)), 0.4, rtol=1e-15)


def test_where_nothing_applies_the_corpus_score_is_nan() -> None:
    assert np.isnan(ratio(applicable([None, None]).sum(axis=0)))


def test_a_ratio_is_taken_row_by_row() -> None:
    sums = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0], [0.5, 1.0]])
    np.testing.assert_array_equal(ratio(sums), [0.5, np.nan, 0.75, 0.5])


def test_a_corpus_score_is_an_average_unless_there_are_statistics_of_its_own() -> None:
    class Counting(Scripted):
        def statistics(self, samples: Sequence[Sample]) -> FloatArray:
            return np.ones((len(samples), 2))

    assert give(0.5).averages is True
    assert Counting(lambda _: Scores(values=())).averages is False


def test_what_does_not_say_so_learns_nothing() -> None:
    assert list(give().learners()) == []


def test_no_samples_have_statistics_of_the_right_shape() -> None:
    assert applicable([]).shape == (0, 2)


class Inner(Settings):
    cased: bool = True
    stemmed: bool = False


class Outer(Settings):
    kind: str = "scripted"
    order: int = 4
    secret: str = "x"
    inner: Inner = Inner()


def test_a_signature_says_kind_settings_and_versions() -> None:
    found = describe(Outer(), "goa", "numpy", without=["secret", "inner"])
    assert found == f"scripted|order:4|version:goa-{__version__},numpy-{np.__version__}"
    assert describe(Inner(), "numpy") == f"cased:yes|stemmed:no|version:numpy-{np.__version__}"
