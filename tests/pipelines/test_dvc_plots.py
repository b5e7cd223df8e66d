"""What `dvc plots` draws of a comparison: the curves of the report."""

import json
import re
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.cli import main as dvc

from goa.report.html.chart import Chart, Series
from goa.report.report import write_curves

PROJECT = Path(__file__).parents[2]
CURVES = "out/comparison/curves.csv"
REWARD = Chart(
    title="Reward: bleu",
    x_name="update",
    y_name="bleu × 100",
    series=(
        Series(arm="bleu", style="c0 faint", points=((1.0, 31.5), (2.0, 33.0))),
        Series(
            arm="bleu",
            style="c0",
            points=((0.0, 30.0), (2.0, 32.0)),
            band=((0.0, 29.0, 31.0), (2.0, 31.5, 32.5)),
        ),
        Series(arm="bleu-constant", style="c0 constant", points=((0.0, 30.0), (2.0, 29.5))),
    ),
    description="",
)
ENTROPY = Chart(
    title="Entropy",
    x_name="update",
    y_name="nats per token",
    series=(Series(arm="bleu", style="c0", points=((1.0, 1.25), (2.0, 1.125))),),
    description="",
)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Draw two charts in a project that has this one's plots; what DVC's page holds of them."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("DVC_NO_ANALYTICS", "true")
        patch.setenv("DVC_SITE_CACHE_DIR", str(root / "site"))
        assert dvc(["init", "--quiet", "--no-scm"]) == 0
        shutil.copytree(PROJECT / ".dvc/plots", ".dvc/plots")
        plots = yaml.safe_load((PROJECT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
        Path("dvc.yaml").write_text(yaml.safe_dump({"plots": plots}), encoding="utf-8")
        Path(CURVES).parent.mkdir(parents=True)
        write_curves(Path(CURVES), [REWARD, ENTROPY])
        assert dvc(["plots", "show", "--out", "page", "curves"]) == 0
    page = (root / "page/index.html").read_text(encoding="utf-8")
    (spec,) = re.findall(r"var spec = (\{.+\});", page)
    return json.loads(spec)


def test_every_curve_is_drawn_arm_by_arm_with_its_band(picture) -> None:
    found: dict[tuple[str, str, str], list[tuple[float, ...]]] = defaultdict(list)
    for row in picture["data"]["values"]:
        point = tuple(float(row[name]) for name in ("update", "low", "value", "high"))
        found[row["curve"], row["arm"], row["line"]].append(point)
    assert found == {
        ("Reward: bleu", "bleu", "bleu in training"): [
            (1.0, 31.5, 31.5, 31.5),
            (2.0, 33.0, 33.0, 33.0),
        ],
        ("Reward: bleu", "bleu", "bleu"): [(0.0, 29.0, 30.0, 31.0), (2.0, 31.5, 32.0, 32.5)],
        ("Reward: bleu", "bleu-constant", "bleu-constant"): [
            (0.0, 30.0, 30.0, 30.0),
            (2.0, 29.5, 29.5, 29.5),
        ],
        ("Entropy", "bleu", "bleu"): [(1.0, 1.25, 1.25, 1.25), (2.0, 1.125, 1.125, 1.125)],
    }


def test_what_the_picture_asks_for_is_in_the_data(picture) -> None:
    made = {name for each in picture["transform"] for name in _made(each)}
    text = json.dumps({name: part for name, part in picture.items() if name != "data"})
    assert "DVC_METRIC" not in text
    assert (
        _fields(picture["facet"]) | _fields(picture["spec"])
        <= made | picture["data"]["values"][0].keys()
    )
    assert _fields(picture["spec"]["encoding"]) == {"update", "arm", "line", "rev"}


def _made(transform: dict[str, Any]) -> set[str]:
    """Name the columns that a step of a picture adds."""
    return {each["as"] for each in transform.get("window", [transform])}


def _fields(part: Any) -> set[str]:
    """Find the columns that a part of a picture names."""
    if isinstance(part, list):
        return set().union(*map(_fields, part))
    if not isinstance(part, dict):
        return set()
    named = {part["field"]} if "field" in part else set()
    return named.union(*map(_fields, part.values()))
