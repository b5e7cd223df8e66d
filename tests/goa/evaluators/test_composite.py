"""A composite makes one value of its parts."""

from collections.abc import Sequence
from functools import partialmethod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goa import __version__
from goa.errors import SettingsError
from goa.evaluators.composite import (
    Composite,
    CompositeSettings,
    lexicographic,
    product,
    weighted_mean,
)
from goa.evaluators.contract import Evaluator, checked_score
from goa.evaluators.length import Length
from goa.evaluators.repetition import Repetition
from goa.evaluators.rule import Rule
from goa.records import Example, Sample, Scores
from goa.settings import validate

SETTINGS = {
    "kind": "composite",
    "parts": {
        "bleu": {"weight": 3.0, "evaluator": {"kind": "bleu"}},
        "rule": {"weight": 1.0, "evaluator": {"kind": "rule"}},
    },
}
EXAMPLE = Example(id="a", source="x", references=("the good red bird sings at night",))
SAMPLES = [
    Sample(example=EXAMPLE, candidate=text)
    for text in ("the good red bird sings", "a dog", "the good red bird sings at night", "")
]
THREE = ("rule", "length", "repetition")
unit = st.integers(0, 8).map(lambda eighths: eighths / 8)


def build(**settings: Any) -> Composite:
    return validate(CompositeSettings, {"kind": "composite", **settings}, "here").build("both")


def part(kind: str, weight: float = 1.0, **beside: Any) -> dict[str, Any]:
    return {"weight": weight, "evaluator": {"kind": kind}, **beside}


def read(_: Evaluator, place: int, samples: Sequence[Sample]) -> Scores:
    """Read values from candidates: "- .5" is None in place 0 and 0.5 in place 1."""
    words = [sample.candidate.split()[place] for sample in samples]
    return Scores(values=tuple(None if word == "-" else float(word) for word in words))


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three kinds say what the first, second and third word of the candidate say."""
    for place, kind in enumerate((Rule, Length, Repetition)):
        monkeypatch.setattr(kind, "score", partialmethod(read, place))


def say(*texts: str, example: Example = EXAMPLE) -> list[Sample]:
    return [Sample(example=example, candidate=text) for text in texts]


def test_it_is_the_weighted_mean_with_all_parts_in_the_breakdown() -> None:
    settings = validate(CompositeSettings, SETTINGS, "here")
    scores = checked_score(settings.build("both"), SAMPLES)
    alone = {
        name: checked_score(part.evaluator.build(name), SAMPLES)
        for name, part in settings.parts.items()
    }
    for row, value in enumerate(scores.values):
        bleu, rule = (alone[name].values[row] for name in ("bleu", "rule"))
        assert bleu is not None
        assert rule is not None
        assert value == pytest.approx(0.75 * bleu + 0.25 * rule, abs=1e-12)
    assert scores.parts["bleu"] == alone["bleu"].values
    assert scores.parts["rule.relevance"] == alone["rule"].parts["relevance"]


@pytest.mark.parametrize(
    ("combine", "beside", "expected"),
    [
        ("weighted_mean", {}, 0.8 * 0.25 + 0.2 * 0.81),
        ("product", {}, 0.25**0.8 * 0.81**0.2),
        ("lexicographic", {"floor": 0.5}, 0.8 * 0.25 / 0.5),
        ("lexicographic", {"floor": 0.25}, 0.8 + 0.2 * 0.81),
    ],
)
@pytest.mark.usefixtures("scripted")
def test_parts_are_combined_as_worked_by_hand(
    combine: str, beside: dict[str, float], expected: float
) -> None:
    parts = {"first": part("rule", 4.0, **beside), "second": part("length")}
    (value,) = checked_score(build(combine=combine, parts=parts), say("0.25 0.81")).values
    assert value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("combine", ["weighted_mean", "product", "lexicographic"])
@pytest.mark.usefixtures("scripted")
def test_where_a_part_does_not_apply_neither_does_the_composite(combine: str) -> None:
    floor = {"floor": 0.5} if combine == "lexicographic" else {}
    parts = {"first": part("rule", **floor), "second": part("length")}
    scores = checked_score(build(combine=combine, parts=parts), say("0.4 -", "- 0.4", "0.4 0.4"))
    assert scores.parts["first"] == (0.4, None, 0.4)
    assert [value is None for value in scores.values] == [True, True, False]


def test_a_part_of_zero_makes_the_product_zero() -> None:
    assert product([0.0, 1.0], [0.01, 0.99]) == 0.0


@given(st.lists(unit, min_size=2, max_size=2), st.sampled_from([0.125, 0.5, 0.75]))
def test_the_product_is_between_its_parts_and_never_above_the_mean(
    levels: list[float], share: float
) -> None:
    value = product(levels, [share, 1 - share])
    assert min(levels) - 1e-12 <= value <= weighted_mean(levels, [share, 1 - share]) + 1e-12


def test_lexicographic_bands_are_as_wide_as_their_shares() -> None:
    shares = [0.5, 0.3, 0.2]
    assert lexicographic([0.5, 1, 1], [False, True, False], shares) == 0.25
    assert lexicographic([1, 0.5, 1], [True, False, False], shares) == pytest.approx(0.65)
    assert lexicographic([1, 1, 0.5], [True, True, False], shares) == pytest.approx(0.9)
    assert lexicographic([1, 1, 1], [True, True, False], shares) == pytest.approx(1.0)
    assert lexicographic([1, 1, 1], [True, True, True], shares) == pytest.approx(1.0)


@pytest.mark.usefixtures("scripted")
def test_a_floor_of_zero_is_always_reached_and_one_of_one_by_one_alone() -> None:
    def value(floor: float, text: str) -> float | None:
        parts = {"first": part("rule", floor=floor), "second": part("length")}
        return checked_score(build(combine="lexicographic", parts=parts), say(text)).values[0]

    assert value(0.0, "0 0.5") == 0.75
    assert value(1.0, "0.99 1") == pytest.approx(0.495)
    assert value(1.0, "1 0") == 0.5


def lexicographic_parts(weights: Sequence[float], floors: Sequence[float]) -> dict[str, Any]:
    beside = [*({"floor": floor} for floor in floors), {}]
    return {
        kind: part(kind, weight, **floor)
        for kind, weight, floor in zip(THREE, weights, beside, strict=True)
    }


weights = st.tuples(*[st.sampled_from([0.01, 0.3, 1.0, 7.0])] * 3)
levels = st.tuples(unit, unit, unit)


@pytest.mark.usefixtures("scripted")
def test_a_candidate_that_reaches_one_floor_more_is_above_any_that_does_not() -> None:
    def num_reached(row: Sequence[float], floors: Sequence[float]) -> int:
        reached = [value >= floor for value, floor in zip(row, floors, strict=False)]
        return [*reached, False].index(False)

    @given(weights, st.tuples(unit, unit), st.lists(levels, min_size=2, max_size=6))
    def hold(
        weights: Sequence[float], floors: Sequence[float], rows: list[tuple[float, ...]]
    ) -> None:
        parts = lexicographic_parts(weights, floors)
        samples = say(*(" ".join(map(str, row)) for row in rows))
        values = checked_score(build(combine="lexicographic", parts=parts), samples).values
        reached = [num_reached(row, floors) for row in rows]
        scored = list(zip(reached, (value or 0.0 for value in values), strict=True))
        for most, value in scored:
            assert all(value > other for fewer, other in scored if fewer < most)

    hold()


@pytest.mark.parametrize("combine", ["weighted_mean", "product", "lexicographic"])
@pytest.mark.usefixtures("scripted")
def test_no_part_that_rises_lowers_the_composite(combine: str) -> None:
    @given(weights, st.tuples(unit, unit), levels, levels)
    def hold(
        weights: Sequence[float],
        floors: Sequence[float],
        one: tuple[float, ...],
        other: tuple[float, ...],
    ) -> None:
        parts = lexicographic_parts(weights, floors)
        if combine != "lexicographic":
            for settings in parts.values():
                settings.pop("floor", None)
        rows = [map(min, one, other), one]
        samples = say(*(" ".join(map(str, row)) for row in rows))
        low, high = checked_score(build(combine=combine, parts=parts), samples).values
        assert low is not None
        assert high is not None
        assert low <= high + 1e-15

    hold()


@pytest.mark.usefixtures("scripted")
def test_a_normalised_part_enters_as_that_and_is_shown_as_both() -> None:
    parts = {"first": part("rule", normalise="rank"), "second": part("length")}
    made = build(parts=parts)
    other = Example(id="b", source="x", references=("r",))
    samples = [*say("0.2 1", "0.9 0", "0.4 1", "- 1"), *say("0.3 1", example=other)]
    scores = checked_score(made, samples)
    assert scores.parts["first"] == (0.2, 0.9, 0.4, None, 0.3)
    assert scores.parts["first.normalised"] == (1 / 6, 5 / 6, 3 / 6, None, 0.3)
    assert "second.normalised" not in scores.parts
    assert scores.values == pytest.approx((7 / 12, 5 / 12, 9 / 12, None, 0.65))


@pytest.mark.usefixtures("scripted")
def test_floors_compare_parts_as_given_and_those_that_miss_them_as_normalised() -> None:
    parts = {"first": part("rule", floor=0.5, normalise="rank"), "second": part("length")}
    samples = say("0.1 1", "0.4 1", "0.5 0.2")
    values = checked_score(build(combine="lexicographic", parts=parts), samples).values
    assert values == pytest.approx((0.5 / 6, 0.5 * 3 / 6, 0.5 + 0.5 * 0.2))


@pytest.mark.usefixtures("scripted")
def test_equal_candidates_each_count_in_the_normalisation() -> None:
    made = build(parts={"first": part("rule", normalise="rank")})
    values = checked_score(made, say("0.2", "0.2", "0.9")).values
    assert values == pytest.approx((1 / 3, 1 / 3, 5 / 6))


@pytest.mark.parametrize(
    ("parts", "reads"),
    [
        ({"a": part("bleu"), "b": part("rule")}, False),
        ({"a": part("bleu"), "b": part("rule", normalise="rank")}, True),
        ({"a": part("bleu", normalise="z_score")}, True),
        ({"a": {"evaluator": {"kind": "diversity", "within": "source"}}}, True),
        ({"a": {"evaluator": {"kind": "diversity"}}}, False),
    ],
)
def test_it_reads_the_batch_where_a_part_does_or_is_normalised(parts: Any, reads: bool) -> None:
    assert build(parts=parts).reads_batch is reads


def test_it_draws_where_a_part_does(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"a": part("bleu"), "b": part("rule")}
    assert not build(parts=parts).draws
    monkeypatch.setattr(Rule, "draws", True)
    assert build(parts=parts).draws


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"parts": {"a": part("bleu", floor=0.5), "b": part("rule")}},
            "parts.a.floor has no meaning for weighted_mean",
        ),
        (
            {"combine": "lexicographic", "parts": {"a": part("bleu"), "b": part("rule")}},
            "parts.a.floor is missing",
        ),
        (
            {"combine": "lexicographic", "parts": {"a": part("bleu", floor=0.5)}},
            "parts.a.floor: no part comes after the last one",
        ),
        ({"parts": {"a": {"evaluator": SETTINGS}}}, "'composite' is none of bleu"),
        ({"parts": {}}, "parts: .*at least 1 item"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(**settings)


def test_its_signature_changes_with_all_that_scores_hang_on() -> None:
    second = part("rule")
    settings: list[dict[str, Any]] = [
        {"parts": {"a": part("bleu"), "b": second}},
        {"parts": {"a": part("bleu", 1.00001), "b": second}},
        {"parts": {"a": part("bleu", normalise="rank"), "b": second}},
        {"parts": {"a": part("bleu", normalise="z_score"), "b": second}},
        {"parts": {"a": part("chrf"), "b": second}},
        {"combine": "product", "parts": {"a": part("bleu"), "b": second}},
        {"combine": "lexicographic", "parts": {"a": part("bleu", floor=0.5), "b": second}},
        {"combine": "lexicographic", "parts": {"a": part("bleu", floor=0.6), "b": second}},
        {"combine": "lexicographic", "parts": {"b": part("rule", floor=0.5), "a": part("bleu")}},
    ]
    assert len({build(**each).signature for each in settings}) == len(settings)


def test_its_signature_tells_combination_weights_floors_and_parts() -> None:
    parts = {"a": part("rule", 3.0, floor=0.5, normalise="rank"), "b": part("rule")}
    signature = build(combine="lexicographic", parts=parts).signature
    assert signature.startswith("composite|combine:lexicographic|a:3.0*[rank of rule|relevance:0.5")
    assert "]>=0.5|b:1.0*[rule|" in signature
    assert signature.endswith(f"]|version:goa-{__version__}")  # b has no floor


def test_a_part_whose_name_could_be_another_parts_breakdown_is_refused() -> None:
    part = {"evaluator": {"kind": "bleu"}}
    with pytest.raises(SettingsError, match=r"parts\.a\.normalised"):
        validate(CompositeSettings, {"kind": "composite", "parts": {"a.normalised": part}}, "here")
