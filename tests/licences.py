"""Write docs/licences.md: every locked package with its licence, as its own metadata says it.

``make licences`` runs this, in an environment that has all that is locked.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE, LOCK = ROOT / "docs" / "licences.md", ROOT / "requirements.lock"
HEAD = """\
# Licences of what goa needs
goa itself is under Apache 2.0. This is every package of `requirements.lock`, extras and development
tools included, with the licence that its metadata names; `make licences` writes this page, a test
holds it to the lock. goa imports these packages and ships none of them; whoever hands on an image
that has them inside hands them on, too, and has to keep each one's terms.

"""
WEAK = "may be used from any program; whoever hands on changed files of it gives their source"
COPYLEFT = re.compile(r"GPL|MPL|EPL|EUPL|CDDL|Mozilla|GNU|Artistic", re.IGNORECASE)
FOLLOWS = {
    "LGPL": "may be used from any program; whoever hands on a changed copy gives its source",
    "MPL": WEAK,
    "GPL": "a program that is handed on as one work with it comes under its terms",
}
"""By family, in the order in which they are looked for."""


CHOSEN = {
    "asyncssh": f"taken under EPL 2.0: {WEAK}",
    "docutils": "only an Emacs mode beside it is under the GPL: nothing follows for the package",
    "dulwich": "taken under Apache 2.0: nothing follows",
    "grandalf": f"taken under EPL 1.0: {WEAK}",
    "pygit2": "its exception lets any program use it; a changed copy is handed on with its source",
    "text-unidecode": "taken under the Artistic License: nothing follows for an unchanged copy",
}
"""Packages that leave the choice, or make an exception."""
SEEN = {"huey": "MIT", "skops": "MIT"}
"""Packages whose metadata only name a file: what that file is."""


def locked() -> dict[str, str]:
    """Read the lock: name as it stands there -> version."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    pins = (line.partition("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name: version for name, _, version in pins}


def licence_of(name: str) -> str:
    """Say what a package's metadata names: an expression, a short text, or its classifiers."""
    found = metadata.metadata(name)
    text = (found.get("License-Expression") or found.get("License") or "").strip()
    line = text.partition("\n")[0]
    if line and line != "UNKNOWN" and len(line) <= 60 and line == text:
        return line.replace("|", "/")
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in found.get_all("Classifier") or []
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    told = ", ".join(classifiers) or line[:60].replace("|", "/")
    return told or f"{SEEN[name]} (by its file)"


def follows(name: str, licence: str) -> str:
    """Say what follows from a copyleft licence; nothing from others."""
    if name in CHOSEN:
        return CHOSEN[name]
    if not COPYLEFT.search(licence):
        return ""
    spelt = licence.replace("Mozilla Public", "MPL").replace("Lesser General Public", "LGPL")
    return next((text for family, text in FOLLOWS.items() if family in spelt), FOLLOWS["GPL"])


def page() -> str:
    """Write the whole page."""
    rows = ["| package | version | licence | copyleft: what follows |", "| --- | --- | --- | --- |"]
    for name, version in sorted(locked().items(), key=lambda pin: canonicalize_name(pin[0])):
        licence = licence_of(name)
        rows.append(f"| {name} | {version} | {licence} | {follows(name, licence)} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(f"{PAGE}\n")
    PAGE.write_text(page(), encoding="utf-8")
