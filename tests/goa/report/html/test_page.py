"""The page as text, for what needs no browser."""

import re
from collections.abc import Callable
from dataclasses import replace

from goa.report.comparison import Comparison
from goa.report.html.page import render_html
from goa.report.materials import ReportMaterials

MakeComparison = Callable[..., Comparison]


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
