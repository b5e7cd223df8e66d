"""The comparison as one page of HTML, which reads no other file and runs no script but its own."""

import base64
import hashlib
from collections.abc import Callable, Mapping
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined

from goa.arms import CONTROLLED
from goa.report.html.chart import draw
from goa.report.html.curves import curve_charts
from goa.report.html.differing import differing
from goa.report.html.explorer import as_script, explore
from goa.report.html.heat import heat_of
from goa.report.html.styles import arm_styles
from goa.report.html.tradeoffs import frontier_charts, time_chart
from goa.report.materials import ReportMaterials
from goa.report.numbers import label, mark, say_delta, say_families, say_p_value, say_score
from goa.report.quantities import say_bytes, say_duration, say_energy, say_short_time

FILTERS: Mapping[str, Callable[..., str]] = {
    "bytes": say_bytes,
    "delta": say_delta,
    "energy": say_energy,
    "label": label,
    "mark": mark,
    "p_value": say_p_value,
    "score": say_score,
    "duration": say_duration,
    "short_time": say_short_time,
}


def render_html(materials: ReportMaterials) -> str:
    """Write the page."""
    comparison = materials.comparison
    script = _resource("report.js")
    environment = Environment(
        loader=PackageLoader("goa.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= FILTERS
    bar = comparison.bar
    return environment.get_template("page.html").render(
        bar=bar,
        comparison=comparison,
        controlled=CONTROLLED,
        costs=materials.costs,
        curves=[draw(each) for each in curve_charts(comparison, materials.histories)],
        differing=differing,
        explorer=as_script(explore(comparison, materials.entrants)),
        frontiers=[draw(each) for each in frontier_charts(comparison, materials.histories)],
        heats={strategy: heat_of(comparison, strategy) for strategy in comparison.strategies},
        recipe=materials.recipe,
        script=script,
        script_digest=_digest(script),
        styles=arm_styles(comparison),
        style_sheet=_resource("report.css"),
        tested_together=say_families(comparison),
        times=draw(chart) if bar and (chart := time_chart(comparison, bar)) else None,
    )


def _resource(name: str) -> str:
    return (resources.files("goa.report.html") / "templates" / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """Name the page's script as a content security policy does, so that no other one runs."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
