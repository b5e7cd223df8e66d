"""`make docs`: the pages as a site, without a warning, that asks for nothing from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
NOWHERE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
LOADED = re.compile(r'<(?:script|img|link)[^>]+(?:src|href)="(https?://[^"]+)"')


@pytest.mark.long
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    argv = [sys.executable, "-m", "sphinx", "--fail-on-warning", "-q", "-b", "html"]
    done = subprocess.run(
        [*argv, str(PROJECT / "docs"), str(tmp_path)],
        env=os.environ | NOWHERE | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.html")}
    for source in (PROJECT / "docs").rglob("*.md"):
        name = source.relative_to(PROJECT / "docs").with_suffix(".html").as_posix()
        if not name.startswith("_build"):
            assert name in pages
    for page in pages.values():
        assert LOADED.findall(page.read_text(encoding="utf-8")) == []
    assert "<math" in pages["method.html"].read_text(encoding="utf-8")
    assert "tokens_per_pass" in pages["reference/settings.html"].read_text(encoding="utf-8")
    assert "goa promote" in pages["reference/commands.html"].read_text(encoding="utf-8")
