"""The page in a real browser: nothing is fetched, what is operated works, all can read it."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from goa.report.html.page import render_html
from goa.report.materials import ReportMaterials
from tests.browser import Page, browser_page, find_browser
from tests.goa.report.html.conftest import ATTACK

pytestmark = pytest.mark.skipif(find_browser() is None, reason="no Chromium here; `make system`")


@pytest.fixture(scope="module")
def address(materials: ReportMaterials, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_html(materials), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = find_browser()
    assert program is not None
    with browser_page(program, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Page, address: str) -> Page:
    browser.be()
    browser.resize(1280)
    browser.open(address)
    return browser


def test_it_loads_from_disk_alone_and_says_nothing_is_wrong(page: Page, address: str) -> None:
    assert page.requests() == [address]
    assert page.said() == []


def test_no_text_of_a_user_runs(page: Page) -> None:
    assert page.run("window.attacked === undefined")
    assert page.run("document.images.length") == 0
    assert page.run("document.scripts.length") == 2
    assert ATTACK in page.run("document.querySelector('#examples').textContent")


def ids(page: Page) -> list[str]:
    found = page.run("[...document.querySelectorAll('#examples h3')].map(x => x.textContent)")
    return list(found)


def choose(page: Page, control: str, value: str) -> None:
    page.run(
        f"document.getElementById('{control}').value = '{value}';"
        f"document.getElementById('{control}').dispatchEvent(new Event('change'))"
    )


def status(page: Page) -> str:
    return str(page.run("document.getElementById('status').textContent"))


def test_all_examples_can_be_paged_through(page: Page) -> None:
    assert status(page) == "1 to 20 of 60 examples"
    first = ids(page)
    page.run("document.getElementById('next').click()")
    second = ids(page)
    page.run("document.getElementById('next').click()")
    assert status(page) == "41 to 60 of 60 examples"
    assert len({*first, *second, *ids(page)}) == 60
    assert page.run("document.getElementById('next').disabled")


def test_search_shows_only_what_has_the_text_in_any_case(page: Page) -> None:
    page.run("document.getElementById('search').focus()")
    page.write("QUELLE 17")
    assert ids(page) == ["test-17"]
    page.write(" of nothing")
    assert ids(page) == []
    assert status(page) == "No example has this text."


@pytest.mark.parametrize(("order", "sign"), [("gain", -1), ("loss", 1)])
def test_sorting_by_gain_and_loss_follows_the_arm_chosen(
    page: Page, materials: ReportMaterials, order: str, sign: int
) -> None:
    arm, baseline = (
        next(each.evaluations[0] for each in materials.entrants if each.arm.name == name)
        for name in ("rule", "mle")
    )
    gains = [
        arm.evaluations["greedy"].values["rouge1"][place]
        - baseline.evaluations["greedy"].values["rouge1"][place]
        for place in range(60)
    ]
    expected = sorted(range(60), key=lambda place: sign * round(gains[place], 4))
    choose(page, "arm", str(materials.comparison.names.index("rule")))
    choose(page, "order", order)
    assert ids(page) == [arm.examples[place].id for place in expected[:20]]


def test_an_arm_can_be_left_out(page: Page) -> None:
    names = (
        "[...document.querySelectorAll('#examples article:first-child dt')]"
        ".map(x => x.firstChild.data)"
    )
    assert page.run(names) == ["source", "reference", "mle", "rouge", "rouge-constant", "rule"]
    page.run("document.querySelector('#shown label:last-child input').click()")
    assert len(page.run(names)) == 5


def test_words_that_differ_from_the_baseline_are_marked(page: Page) -> None:
    choose(page, "order", "gain")
    marked = page.run("document.querySelector('#examples mark').textContent.trim()")
    assert marked
    assert page.run("document.querySelectorAll('#examples dl > div:nth-child(3) mark').length") == 0


def test_a_matrix_shows_scores_changes_or_seeds(page: Page) -> None:
    visible = "[...document.querySelectorAll('.heated td')].at(1).innerText"
    scores = page.run(visible)
    page.run("document.getElementById('show-changes').click()")
    changes = page.run(visible)
    assert " to " in scores
    assert "p " in changes
    page.run("document.getElementById('show-seeds').click()")
    assert "·" in page.run(visible)


def test_every_picture_has_a_name_and_a_description(page: Page) -> None:
    pictures = page.run(
        """[...document.querySelectorAll('svg:not([aria-hidden=true])')].map(svg => [
            svg.getAttribute('role'),
            ...svg.getAttribute('aria-labelledby').split(' ').map(
                id => document.getElementById(id).textContent)])"""
    )
    assert len(pictures) >= 8
    assert all(role == "img" and name and text for role, name, text in pictures)
    assert len({text for _, _, text in pictures}) > 2


def test_headings_do_not_skip_a_level_and_tables_are_named(page: Page) -> None:
    headings = "[...document.querySelectorAll('h1,h2,h3,h4')]"
    levels = page.run(f"{headings}.map(x => Number(x.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert page.run("[...document.querySelectorAll('table')].every(x => x.caption?.textContent)")
    assert page.run("[...document.querySelectorAll('th')].every(x => x.scope)")


CONTRASTS = """(() => {
  const pixel = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = (color) => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = color;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) =>
    [r, g, b].map((value, place) => value * a + below[place] * (1 - a));
  const luminance = (color) => {
    const [r, g, b] = color.map((value) => value / 255).map(
      (value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const below = element.parentElement ? ground(element.parentElement) : [255, 255, 255];
    return over(rgba(getComputedStyle(element).backgroundColor), below);
  };
  const found = [];
  for (const element of document.querySelectorAll('body, body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || ['SCRIPT', 'TITLE', 'DESC'].includes(
      element.tagName.toUpperCase())) continue;
    if (element.disabled) continue;
    const style = getComputedStyle(element);
    const behind = ground(element);
    const ink = over(rgba(element.namespaceURI.endsWith('svg') ? style.fill : style.color), behind);
    const [low, high] = [luminance(ink), luminance(behind)].sort((a, b) => a - b);
    const where = `${element.tagName}.${element.className.baseVal ?? element.className}`;
    found.push([(high + 0.05) / (low + 0.05), `${where}: ${element.textContent.slice(0, 40)}`]);
  }
  return found;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_that_wcag_asks_for(page: Page, scheme: str) -> None:
    page.be(scheme=scheme)
    page.run("for (const each of document.querySelectorAll('details')) each.open = true")
    found = page.run(CONTRASTS)
    assert len(found) > 300
    assert sorted(each for each in found if each[0] < 4.5) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_of_charts_stand_out_from_the_page(page: Page, scheme: str) -> None:
    page.be(scheme=scheme)
    page.run(
        """for (const name of ['base', 'c0', 'c1', 'c2', 'c3', 'c4', 'c5']) {
            const each = document.createElement('p');
            each.textContent = name;
            each.className = `${name} probe`;
            each.style.color = 'var(--series)';
            document.body.append(each);
        }"""
    )
    lines = [each for each in page.run(CONTRASTS) if "probe" in each[1]]
    assert len(lines) == 7
    assert min(ratio for ratio, _ in lines) >= 3.0


def test_every_control_can_be_reached_by_the_tab_key(page: Page) -> None:
    wanted = page.run(
        """(() => {
            const all = [...document.querySelectorAll(
                'a[href], button:not(:disabled), select, summary, input, [tabindex="0"]')];
            const seen = all.filter((each) => each.checkVisibility());
            const stops = seen.filter((each) => each.type !== 'radio' || each.checked);
            for (const [place, each] of stops.entries()) each.dataset.stop = place;
            return stops.length;
        })()"""
    )
    assert wanted > 20
    reached = set()
    for _ in range(wanted + 5):
        page.press("Tab")
        reached.add(page.run("document.activeElement.dataset.stop ?? null"))
    assert reached >= {str(place) for place in range(wanted)}


@pytest.mark.parametrize("key", ["Enter", "Space"])
@pytest.mark.parametrize(
    ("control", "state"),
    [
        ("#recipe summary", "document.querySelector('#recipe details').open"),
        ("#next", "document.getElementById('status').textContent"),
    ],
)
def test_what_can_be_reached_can_be_operated(
    page: Page, control: str, state: str, key: str
) -> None:
    before = page.run(state)
    page.press("Tab")  # from here on the focus shows
    page.run(f"document.querySelector('{control}').focus()")
    outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.press(key)
    assert page.run(state) != before


def test_the_space_key_ticks_a_box(page: Page) -> None:
    page.run("document.getElementById('changed').focus()")
    page.press("Space")
    assert page.run("document.getElementById('changed').checked")
    assert not status(page).endswith("of 60 examples")


def test_a_phone_scrolls_down_and_not_sideways(page: Page) -> None:
    page.resize(360)
    page.run("for (const each of document.querySelectorAll('details')) each.open = true")
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert page.run("document.querySelector('.heated').offsetWidth") > 360


def test_paper_has_the_exhibits_in_place_of_the_explorer(
    page: Page, materials: ReportMaterials, tmp_path: Path
) -> None:
    shown = "document.querySelector('#exhibits').checkVisibility()"
    assert not page.run(shown)
    page.be(media="print")
    assert page.run(shown)
    assert not page.run("document.getElementById('explorer').checkVisibility()")
    exhibits = page.run("document.querySelectorAll('#exhibits article').length")
    assert exhibits == len(materials.comparison.exhibits)


def test_what_is_folded_is_open_while_it_is_printed(page: Page, tmp_path: Path) -> None:
    page.run("addEventListener('beforeprint', () => { window.opened = closed() })")
    page.run("function closed() { return document.querySelectorAll('details:not([open])').length }")
    before = page.run("closed()")
    page.print_to(tmp_path / "report.pdf")
    assert before > 0
    assert page.run("window.opened") == 0
    assert page.run("closed()") == before


def test_without_scripts_the_exhibits_are_there(browser: Page, address: str) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(address)
    browser.send("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.run("document.querySelector('#exhibits').checkVisibility()")
    assert not browser.run("document.getElementById('explorer').checkVisibility()")
