"""The comparison as a page of Markdown."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from goa.evaluation.significance import TestName
from goa.report.comparison import Cell, Comparison, Exhibit
from goa.report.evidence import Attribution, BarPoint
from goa.report.expenses import show_costs
from goa.report.markup import plain, table
from goa.report.numbers import (
    MISSING,
    label,
    mark,
    say_delta,
    say_families,
    say_interval,
    say_p_value,
    say_score,
    say_tests,
)
from goa.report.quantities import say_short_time
from goa.report.side_effects import show_guards, show_peakiness
from goa.tracking.cost import Cost

TESTS: Mapping[TestName, str] = {
    "bootstrap": "the paired bootstrap test",
    "randomisation": "paired approximate randomisation",
}
TEST_RECIPES: Mapping[TestName, str] = {
    "bootstrap": (
        "paired bootstrap test (Koehn 2004), as sacrebleu's `--paired-bs` defines it. It acts as "
        "a one-sided test of the direction seen"
    ),
    "randomisation": (
        "paired approximate randomisation (Riezler and Maxwell 2005), two-sided, as sacrebleu's "
        "`--paired-ar` defines it: outputs of the same example are exchanged"
    ),
}


def render_markdown(
    comparison: Comparison, pictures: Mapping[str, str], costs: Sequence[Cost] = ()
) -> str:
    """Write the page.

    Args:
        comparison: what it says.
        pictures: caption -> file, relative to the page.
        costs: of the stages that led here, in running order.
    """
    blocks = [
        "# Comparison of arms",
        f"**{plain(comparison.verdict.sentence)}**",
        *_facts(comparison),
        _reading(comparison),
        *(block for name in comparison.strategies for block in _strategy(comparison, name)),
        *_bar(comparison),
        *show_peakiness(comparison),
        *show_guards(comparison),
        *_pictures(pictures),
        *_exhibits(comparison),
        *show_costs(costs),
        *_method(comparison),
    ]
    return "\n\n".join(blocks) + "\n"


def _facts(comparison: Comparison) -> Iterator[str]:
    if comparison.verdict.facts:
        rows = [[fact.name, plain(fact.text)] for fact in comparison.verdict.facts]
        yield table(["", "evidence"], rows)


def _reading(comparison: Comparison) -> str:
    return (
        "Columns: what was trained. Rows: what its outputs on the "
        f"{comparison.num_examples} test examples were measured by. All numbers are × 100, with "
        f"{comparison.confidence:.0%} bootstrap intervals. **Bold**: rewarded by this very "
        f"measure. Against {comparison.baseline}: ▲ significantly better, ▼ significantly worse, "
        "◆ significantly different where there is no better or worse."
    )


def _strategy(comparison: Comparison, strategy: str) -> Iterator[str]:
    others = comparison.names[1:]
    yield f"## Decoded by {strategy}"
    yield _matrix(comparison, strategy, comparison.names, _score_cell)
    if others:
        yield f"### Change from {comparison.baseline}, decoded by {strategy}"
        yield _matrix(comparison, strategy, others, _change_cell)
        yield (
            f"{len(others) * len(comparison.measures)} comparisons by {TESTS[comparison.test]}; "
            f"each p-value is corrected (Holm) for {say_families(comparison)}, not for the number "
            "of rows."
        )

    yield from _attributions(comparison, strategy)


def _attributions(comparison: Comparison, strategy: str) -> Iterator[str]:
    found = [each for each in comparison.attributions if each.strategy == strategy]
    if not found:
        return
    yield f"### What is left of the gains, decoded by {strategy}"
    labels = {measure.name: label(measure) for measure in comparison.measures}
    header = ["measured by", "arm", "gain", "best control", "its gain", "left"]
    yield table(header, [_left_row(each, labels[each.metric]) for each in found])
    yield (
        "Left is the arm less its best control by that measure, in pairs of equal seed; p-values "
        "are corrected (Holm) for the arms that have controls, by measure and strategy."
    )


def _left_row(each: Attribution, measure: str) -> list[str]:
    left = each.left
    what = f"{say_delta(left.delta)} {say_interval(left)} {say_tests(left)} {mark(left)}".strip()
    return [
        f"`{measure}`",
        each.arm,
        say_delta(each.gain),
        each.control,
        say_delta(each.control_gain),
        what,
    ]


def _bar(comparison: Comparison) -> Iterator[str]:
    bar = comparison.bar
    if bar is None:
        return
    yield "## Against decoding alone"
    yield plain(bar.sentence)
    header = ["arm", "decoded by", "time a sentence", bar.metric]
    yield table(header, [_bar_row(point, point == bar.trained) for point in bar.points])
    yield (
        f"Ways of decoding that {comparison.baseline} alone has may take as long as they like; "
        "none sees a reference of the test set. **Bold**: the best that training reaches. Its "
        "p-value is multiplied (Bonferroni) by the number of points it was picked from."
    )


def _bar_row(point: BarPoint, is_trained: bool) -> list[str]:
    score = say_score(point.score)
    score = f"**{score}**" if is_trained else score
    interval = f"[{say_score(point.low)}, {say_score(point.high)}]"
    return [point.arm, point.strategy, say_short_time(point.seconds), f"{score} {interval}"]


def _matrix(
    comparison: Comparison, strategy: str, arms: Sequence[str], show: Callable[[Cell], str]
) -> str:
    rows = [
        [f"`{label(measure)}`"]
        + [show(comparison.cell(strategy, measure.name, arm)) for arm in arms]
        for measure in comparison.measures
    ]
    return table(["measured by", *arms], rows)


def _score_cell(cell: Cell) -> str:
    score = say_score(cell.score)
    score = f"**{score}**" if cell.trained_on else score
    interval = f"[{say_score(cell.low)}, {say_score(cell.high)}]" if cell.score is not None else ""
    return " ".join(part for part in (score, interval, mark(cell.change)) if part)


def _change_cell(cell: Cell) -> str:
    change = cell.change
    if change is None or change.delta is None:
        return MISSING
    delta = f"**{say_delta(change.delta)}**" if cell.trained_on else say_delta(change.delta)
    p_value = say_p_value(change.adjusted_p_value)
    return f"{delta} {say_interval(change)} {p_value} {mark(change)}".strip()


def _pictures(pictures: Mapping[str, str]) -> Iterator[str]:
    if pictures:
        yield "## Pictures"
        yield from (f"![{caption}]({file})" for caption, file in pictures.items())


def _exhibits(comparison: Comparison) -> Iterator[str]:
    if not comparison.exhibits:
        return
    yield "## Outputs side by side"
    yield (
        f"Decoded by {comparison.verdict.strategy}; the number is `{comparison.verdict.metric}` "
        "of this one output. Examples drawn by lot come first; gains and losses were picked for "
        "being large and are not typical."
    )
    for exhibit in comparison.exhibits:
        yield f"### {plain(exhibit.id)}: {exhibit.reason}"
        yield _exhibit(exhibit)


def _exhibit(exhibit: Exhibit) -> str:
    rows = [["source", "", exhibit.source]]
    rows += [["reference", "", reference] for reference in exhibit.references]
    rows += [
        [f"**{arm}**", say_score(exhibit.scores[arm]), text]
        for arm, text in exhibit.outputs.items()
    ]
    return table(["", "score", "text"], [[who, score, plain(text)] for who, score, text in rows])


def _method(comparison: Comparison) -> Iterator[str]:
    yield "## How these numbers were made"
    yield "\n".join(
        f"- {line}"
        for line in (
            _seeds(comparison),
            f"Intervals: percentiles of {comparison.resamples} bootstrap resamples of the test "
            f"examples, seed {comparison.seed}; all arms and measures see the same resamples.",
            f"p-values: {TEST_RECIPES[comparison.test]}; the smallest it can give here is "
            f"{1 / (comparison.resamples + 1):.2g}, before correction.",
            f"Marks: corrected p below {comparison.significance:g}. Of equal arms, about one "
            "row in "
            f"{1 / comparison.significance:.0f} would still earn a ▲ somewhere, and as many a ▼.",
            "A strategy that writes several candidates is measured by the first.",
            "A name after a dot is one part of that evaluator's breakdown.",
        )
    )
    yield "### Signatures"
    yield "\n".join(
        f"- `{measure.name}`: `{measure.signature}`"
        for measure in comparison.measures
        if "." not in measure.name
    )


def _seeds(comparison: Comparison) -> str:
    if comparison.num_seeds < 2:
        return (
            "One training run an arm: intervals and p-values say how far the choice of test "
            "examples can explain a number. They say nothing of the luck of training, which only "
            "more seeds can show."
        )
    return (
        f"{comparison.num_seeds} training runs an arm, from one pretrained policy: scores are "
        "means over them. A change is marked only where two tests both say so, corrected: the "
        "paired test over test examples, of the means, and Student's t over the runs (two-sided)."
    )
