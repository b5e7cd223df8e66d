"""The page as text, for what needs no browser."""

import html
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from goa.report.comparison import Comparison
from goa.report.html.curves import curve_charts
from goa.report.html.heat import heat_of
from goa.report.html.page import render_html
from goa.report.materials import ReportMaterials
from goa.report.numbers import say_delta, say_p_value, say_score
from goa.tracking.cost import Work
from tests.costs import make_cost

MakeComparison = Callable[..., Comparison]


@pytest.fixture(scope="module")
def full(materials: ReportMaterials) -> str:
    """Write the page with every part of it."""
    return render_html(materials)


def words(markup: str) -> str:
    return " ".join(html.unescape(re.sub("<.+?>", " ", markup)).split())


def rows(page: str, caption: str) -> list[list[str]]:
    """Read the cells of a table, row by row, its head first."""
    table = page.split(f">{caption}</caption>", maxsplit=1)[1].split("</table>", maxsplit=1)[0]
    return [
        [words(cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    ]


def test_sections_stand_in_their_order(comparison: Comparison) -> None:
    page = render_html(ReportMaterials(comparison=comparison))
    found = re.findall(r'<section id="(.+?)"', page)
    assert found == ["verdict", "matrix", "curves", "trade-offs", "outputs", "cost", "recipe"]


def test_what_was_not_measured_is_said(comparison: Comparison) -> None:
    page = render_html(ReportMaterials(comparison=replace(comparison, bar=None)))
    assert "No stage left a record of its cost." in page
    assert "Neither divergence nor decoding without training was measured." in page
    assert "there are no curves" in page
    assert "Peakiness</h3>" not in page


def test_the_baseline_alone_makes_a_page(make_comparison: MakeComparison) -> None:
    page = render_html(ReportMaterials(comparison=make_comparison(mle=0.5)))
    assert "Nothing can be compared with mle" in page
    assert "show-changes" not in page.split("<main>")[1]


def test_names_and_texts_of_users_are_escaped(comparison: Comparison) -> None:
    attack = "<img src=x onerror=alert(1)>"
    verdict = replace(comparison.verdict, headline=attack)
    shown = replace(comparison.exhibits[0], source=attack, id=attack)
    changed = replace(comparison, verdict=verdict, exhibits=(shown,))
    page = render_html(ReportMaterials(comparison=changed))
    assert attack not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") == 3


def test_every_signature_is_given(comparison: Comparison) -> None:
    page = render_html(ReportMaterials(comparison=comparison))
    for measure in comparison.measures:
        assert f"<code>{measure.signature}</code>" in page


def test_it_names_no_address_to_fetch_from(comparison: Comparison) -> None:
    page = render_html(ReportMaterials(comparison=comparison))
    assert not re.search(r'(src|href)="(?!#)', page)
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_the_verdict_stands_with_what_it_rests_on(materials: ReportMaterials, full: str) -> None:
    verdict = full.split('<section id="verdict"')[1].split("</section>", maxsplit=1)[0]
    assert materials.comparison.verdict.headline in words(verdict)
    assert rows(full, "What the verdict rests on") == [["how sure", "p < 0.05"]]


def test_each_arm_is_told_with_what_it_was_paid(full: str) -> None:
    arms = full.split('<ul class="arms">')[1].split("</ul>", maxsplit=1)[0]
    assert [words(each) for each in re.findall(r"<li>(.*?)</li>", arms, re.DOTALL)] == [
        "mle the baseline: before fine-tuning",
        "rouge rewarded by rouge seeds 1, 2",
        "rouge-constant control: every candidate was paid the same seeds 1, 2",
        "rule rewarded by rule seeds 1, 2",
    ]


def test_a_guard_that_fell_is_told_with_its_update_and_its_outputs(full: str) -> None:
    alarm = words(full.split('<div class="alarm"')[1].split("</div>\n<p", maxsplit=1)[0])
    assert "chrf fell while the reward rose , in rule-1 from update 20 on:" in alarm
    assert "reward 30.00 → 40.00, chrf 50.00 → 40.00" in alarm
    assert "Kept: the policy of update 10." in alarm
    assert "before 40.00 one two | three after 10.00 </script>" in alarm


def test_a_cell_has_score_interval_change_and_each_seed(
    materials: ReportMaterials, full: str
) -> None:
    comparison = materials.comparison
    cell = comparison.cell("greedy", "rouge1", "rouge")
    change = cell.change
    assert change is not None
    assert change.effect == "none"  # two seeds are too few to be sure: no mark stands beside it
    found = next(
        row
        for row in full.split("<tr>")
        if row.startswith('<th scope="row">rouge1') and "--heat" in row
    ).split("<td")[1 + comparison.names.index("rouge")]
    heat = heat_of(comparison, "greedy")(cell)
    assert found.startswith(f' class="own" style="--heat: {heat}"')
    scores, changes, seeds = (
        words(found.split(f'<span class="{name}">')[1].split("\n<span")[0])
        for name in ("scores", "changes", "seeds")
    )
    assert scores == f"{say_score(cell.score)} {say_score(cell.low)} to {say_score(cell.high)}"
    assert changes.startswith(f"{say_delta(change.delta)} {say_delta(change.low)} to ")
    assert f"{say_p_value(change.adjusted_p_value)} seeds " in changes
    assert seeds.startswith(f"{say_score(cell.score)} ± {say_score(cell.spread)} ")
    assert " · ".join(map(say_score, cell.scores)) in seeds


def test_a_significant_change_has_its_mark_in_the_matrix(comparison: Comparison) -> None:
    row = next(
        row
        for row in render_html(ReportMaterials(comparison=comparison)).split("<tr>")
        if row.startswith('<th scope="row">rouge1') and "--heat" in row
    )
    assert re.findall('aria-label="(.+?)">(.)<', row) == [
        *[("significantly better", "▲")] * 2,
        *[("significantly worse", "▼")] * 2,
    ]


def test_what_is_left_of_a_gain_stands_beside_it(materials: ReportMaterials, full: str) -> None:
    (owed,) = materials.comparison.attributions
    _, row = rows(full, "Attributable gain by greedy rouge1")
    assert row[:6] == ["rouge", "greedy", "rouge1", "+10.00", "rouge-constant", "+2.00"]
    assert row[6] == say_delta(owed.left.delta)
    assert row[7] == f"{say_delta(owed.left.low)} to {say_delta(owed.left.high)}"
    assert row[8].startswith(f"{say_p_value(owed.left.adjusted_p_value)}; seeds ")


def test_how_sure_every_arm_is_stands_in_a_row(full: str) -> None:
    *_, last = rows(full, "Peakiness: a row an arm, mean over seeds")
    assert last == ["rule", "1.500", "60.00", "90.00", "50.00", "70.00", "20.00", "10.00"]


def test_every_chart_is_drawn_with_its_band(materials: ReportMaterials, full: str) -> None:
    charts = curve_charts(materials.comparison, materials.histories)
    assert len(set(re.findall(r'id="curve-\d+-title"', full))) == len(charts)
    assert 'class="area c0"' in full
    assert 'id="frontier-1-title"' in full
    assert 'id="times-title"' in full


def test_points_of_the_bar_have_score_and_time(full: str) -> None:
    assert "Decoding alone does not get there." in full
    assert rows(full, "rouge1 × 100 and seconds per sentence of every arm and strategy")[1:] == [
        ["mle", "greedy", "50.00", "40.00 to 60.00", "10.0 ms"],
        ["mle", "mbr", "55.00", "40.00 to 60.00", "200 ms"],
    ]


def test_every_exhibit_says_why_it_is_shown(materials: ReportMaterials, full: str) -> None:
    exhibits = full.split('<div id="exhibits">')[1]
    assert [words(each) for each in re.findall("<h3>.*? <small>(.*?)</small>", exhibits)] == [
        exhibit.reason for exhibit in materials.comparison.exhibits
    ]


def test_the_cost_of_every_stage_is_told_and_of_all_together(materials: ReportMaterials) -> None:
    work = {"training": Work(seconds=40.0, sentences=10, tokens=400)}
    costs = [
        make_cost("pretrain", energy=7200.0, peak_gpu_memory=3 * 2**30, work=work),
        make_cost("generate", seconds=30.0),
    ]
    page = render_html(replace(materials, costs=costs))
    head, *found = rows(page, "Cost: a row a stage")
    assert head[3:6] == ["memory, peak", "GPU memory, peak", "energy"]
    machine = "A processor, 2 cores"
    assert found == [
        ["pretrain", "1 min 30 s", "training 10", "1.9 MiB", "3.0 GiB", "2.00 Wh", machine],
        ["generate", "30 s", "–", "1.9 MiB", "–", "–", machine],
    ]
    assert "2 min of work in 2 stages" in words(page)
    assert "2.00 Wh by the machine's own counters" in words(page)


def test_how_to_get_the_numbers_again_is_told(full: str) -> None:
    assert "<dt>all</dt><dd><code>dvc repro</code></dd>" in full
    assert rows(full, "Seeds")[1:] == [["fine-tuning", "1, 2"]]
    assert rows(full, "Versions")[1:] == [["python", "3.11"]]
    assert rows(full, "Digests of what was read")[1:] == [["out/data", f"sha256:{'0' * 64}"]]
    assert "<code>seed: 3\n" in full
