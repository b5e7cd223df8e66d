"""The site made of these pages, by `make docs`; nothing is fetched to build it, nor to read it."""

import os
import sys
from pathlib import Path
from typing import Any

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

os.environ.setdefault("MPLBACKEND", "agg")

project = "goa"
author = "goa"
copyright = "goa's authors, Apache 2.0"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "matplotlib.sphinxext.plot_directive",
    "command_reference",
    "settings_reference",
]
exclude_patterns = ["_build", "notebooks"]
suppress_warnings = ["toc.empty_glob"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
highlight_language = "none"  # blocks that are only indented may be anything

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False

plot_formats = ["svg"]
plot_html_show_formats = False
plot_html_show_source_link = False

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = "goa"
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False


def setup(app: Sphinx) -> None:
    """Let browsers set formulas themselves: no script, no fonts from elsewhere."""
    app.add_html_math_renderer("mathml", (_formula, None), (_display, None))


def _formula(translator: Any, node: Any) -> None:
    translator.body.append(_mathml(node))
    raise SkipNode


def _display(translator: Any, node: Any) -> None:
    translator.body.append(f'<div class="math">{_mathml(node, as_block=True)}</div>')
    raise SkipNode


def _mathml(node: Any, *, as_block: bool = False) -> str:
    formula: str = tex2mathml(node.astext(), as_block=as_block)
    # Browsers set nothing there, and "log p" reads as one word.
    return formula.replace("<mo>&ApplyFunction;</mo>", '<mspace width="0.17em"/>')
