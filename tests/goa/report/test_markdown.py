"""The page that people read."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from goa.report.comparison import Comparison
from goa.report.markdown import render_markdown
from goa.report.settings import CompareSettings
from goa.tracking.cost import Work
from tests.costs import make_cost

MakeComparison = Callable[..., Comparison]


def row(page: str, heading: str, name: str) -> list[str]:
    """Take the cells of a row, of the first table after a heading."""
    lines = page.split(f"{heading}\n", maxsplit=1)[1].splitlines()
    (line, *_) = [line for line in lines if line.startswith(f"| `{name}`")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_verdict_comes_first(comparison: Comparison) -> None:
    page = render_markdown(comparison, {})
    assert page.splitlines()[2].startswith("**rouge is best: greedy rouge1 ")


def test_scores_stand_with_interval_and_mark(comparison: Comparison) -> None:
    cell = comparison.cell("greedy", "ter", "rule")
    cells = row(render_markdown(comparison, {}), "## Decoded by greedy", "ter (1 − TER)")

    assert cell.score is not None
    assert cells[3].startswith(f"{100 * cell.score:.2f} [")
    assert cells[3].endswith("] ▼")
    assert cells[1][-1] == "]"


def test_the_cell_that_was_trained_on_is_bold(comparison: Comparison) -> None:
    page = render_markdown(comparison, {})
    cells = row(page, "## Decoded by greedy", "rouge")

    assert [cell.startswith("**") for cell in cells[1:]] == [False, True, False]
    changes = row(page, "### Change from mle, decoded by greedy", "rouge")
    assert [cell.startswith("**") for cell in changes[1:]] == [True, False]


def test_every_strategy_has_its_tables(comparison: Comparison) -> None:
    page = render_markdown(comparison, {})
    assert page.count("## Decoded by ") == 2
    assert page.count("### Change from mle, decoded by ") == 2


def test_the_number_of_comparisons_and_the_test_are_named(comparison: Comparison) -> None:
    page = render_markdown(comparison, {})
    assert "8 comparisons by the paired bootstrap test; " in page
    assert "corrected (Holm) for the 2 arms of its row, not" in page
    assert "Koehn 2004" in page
    assert "400 bootstrap resamples" in page


def test_every_table_has_as_many_cells_in_each_row(comparison: Comparison) -> None:
    lines = render_markdown(comparison, {}).splitlines()
    widths = [
        line.replace("\\|", "").count("|") if line.startswith("|") else None for line in lines
    ]
    pairs = [(a, b) for a, b in pairwise(widths) if a and b]
    assert len(pairs) > 20
    assert all(a == b for a, b in pairs)


def test_texts_are_not_read_as_markdown(comparison: Comparison) -> None:
    shown = replace(
        comparison.exhibits[0],
        source="a | b\n<b>*c*</b> `d` [e](f) _g_",
        outputs={**comparison.exhibits[0].outputs, "mle": ""},
    )
    page = render_markdown(replace(comparison, exhibits=(shown,)), {})

    assert r"a \| b \<b\>\*c\*\</b\> \`d\` \[e](f) \_g\_" in page
    assert "*(empty)*" in page


def test_pictures_are_linked(comparison: Comparison) -> None:
    page = render_markdown(comparison, {"Reward over training": "reward.png"})
    assert "![Reward over training](reward.png)" in page


def test_every_signature_is_given(comparison: Comparison) -> None:
    page = render_markdown(comparison, {})
    for measure in comparison.measures:
        assert f"- `{measure.name}`: `{measure.signature}`" in page


def test_the_baseline_alone_makes_a_page(make_comparison: MakeComparison) -> None:
    page = render_markdown(make_comparison(mle=0.5), {})
    assert "Nothing can be compared with mle" in page
    assert "### Change" not in page


def test_the_evidence_stands_below_the_verdict(comparison: Comparison) -> None:
    page = render_markdown(comparison, {})
    for fact in comparison.verdict.facts:
        assert f"| {fact.name}" in page.split("Columns: what was trained")[0]


def test_what_is_left_of_gains_has_a_table(make_comparison: MakeComparison) -> None:
    arms = {"rouge-17": 0.7, "rouge-constant-17": 0.6}
    page = render_markdown(make_comparison(mle=0.5, **arms), {})
    cells = row(page, "### What is left of the gains, decoded by greedy", "ter (1 − TER)")

    assert cells[1] == "rouge"
    assert cells[3] == "rouge-constant"
    assert cells[2].startswith("+")
    assert cells[5].endswith("▲")


def test_the_bar_has_a_row_a_point(comparison: Comparison) -> None:
    page = render_markdown(comparison, {}).split("## Against decoding alone\n")[1]
    lines = [line for line in page.split("##")[0].splitlines() if line.startswith("|")]

    assert comparison.bar is not None
    assert len(lines) == 2 + len(comparison.bar.points)
    assert sum("**" in line for line in lines) == 1


def test_another_test_is_named(make_comparison: MakeComparison) -> None:
    settings = CompareSettings(resamples=50, test="randomisation")
    page = render_markdown(make_comparison(settings, mle=0.5, rouge=0.6), {})

    assert "comparisons by paired approximate randomisation" in page
    assert "Riezler and Maxwell 2005" in page
    assert "Koehn" not in page


COSTS = [
    make_cost(
        seconds=3700.0,
        peak_memory=2_000_000_000,
        energy=50_000.0,
        work={"training": Work(seconds=2000.0, sentences=10, tokens=4_000_000)},
    ),
    make_cost(
        "evaluate_mle",
        seconds=30.0,
        peak_memory=1_000_000_000,
        energy=2_000.0,
        work={
            "greedy": Work(seconds=2.0, sentences=10, tokens=100),
            "beam_4": Work(seconds=8.0, sentences=10, tokens=100),
        },
    ),
]


def cost_rows(page: str) -> list[list[str]]:
    lines = page.split("## What it cost\n", maxsplit=1)[1].strip().split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_what_every_stage_cost_stands_in_running_order_and_then_the_whole(
    comparison: Comparison,
) -> None:
    page = render_markdown(comparison, {}, COSTS)
    header, _, *rows = cost_rows(page)
    assert header == ["stage", "time", "memory", "energy", "tokens/s"]
    assert rows == [
        ["`pretrain`", "1 h 2 min", "1.9 GiB", "14 Wh", "training 2,000"],
        ["`evaluate_mle`", "30 s", "953.7 MiB", "0.56 Wh", "greedy 50, beam\\_4 12"],
        ["**together**", "1 h 2 min", "1.9 GiB", "14 Wh", ""],
    ]
    assert "- On: A processor, 2 cores (2 stages)." in page


def test_of_energy_that_is_not_known_of_every_stage_there_is_no_sum(comparison: Comparison) -> None:
    costs = [COSTS[0], replace(COSTS[1], energy=None)]
    rows = cost_rows(render_markdown(comparison, {}, costs))
    assert [row[3] for row in rows[2:]] == ["14 Wh", "–", "–"]


def test_memory_of_gpus_has_a_column_where_there_were_any(comparison: Comparison) -> None:
    costs = [replace(COSTS[0], peak_gpu_memory=3_500_000_000, machine="1 x GPU"), COSTS[1]]
    page = render_markdown(comparison, {}, costs)
    header, _, *rows = cost_rows(page)
    assert header[3] == "GPU memory"
    assert [row[3] for row in rows] == ["3.3 GiB", "–", "3.3 GiB"]
    assert "- On: 1 x GPU (1 stage), A processor, 2 cores (1 stage)." in page


def test_without_costs_nothing_is_said_of_them(comparison: Comparison) -> None:
    assert "cost" not in render_markdown(comparison, {})
