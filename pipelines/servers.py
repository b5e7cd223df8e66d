"""Whether MLflow and Prefect answer, asked as their clients ask."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from goa.errors import TrackingError, excerpt, first_line, hide_secrets
from goa.tracking.schema import ask, read_schema
from goa.tracking.store import SQLITE
from pipelines.findings import Finding, fail, ok, warn
from pipelines.publish import project_store

SECONDS = 5.0
"""How long a Prefect server may take to answer."""


def ask_mlflow(root: Path) -> Iterator[Finding]:
    """Look at the tables, where they can be seen, and make a real call.

    Raises:
        SettingsError: the section ``tracking`` of params.yaml cannot be used.
        TrackingError: a database does not answer.
    """
    store = project_store(root)
    schema = read_schema(store)
    name = "mlflow tables"
    if schema is None:
        yield ok(name, "the server's own matter")
    elif schema.found is None and store.uri.startswith(SQLITE):
        yield warn(name, f"{store.shown} is not made yet; `goa init` or `goa run` makes it")
        return
    elif schema.found is None:
        yield warn(name, f"{store.shown} has none yet; `goa init` or `goa run` makes them")
        return
    elif schema.newer:
        yield fail(name, f"made by a newer MLflow ({schema.found}); upgrade the one here")
        return
    elif schema.found != schema.expected:
        yield fail(
            name,
            f"{schema.found}, this MLflow needs {schema.expected}; keep a copy of the database, "
            "then `mlflow db upgrade URI`",
        )
        return
    else:
        yield ok(name, f"migrated ({schema.found})")
    try:
        count = ask(store)
    except TrackingError as error:
        said = str(error).partition("\n")[0]
        if "403" in said and "host" in said.lower():
            said += "; start the server with MLFLOW_SERVER_ALLOWED_HOSTS naming this host"
        yield fail("mlflow store", said)
    else:
        yield ok("mlflow store", f"{store.shown} answers; experiments: {count}")


def ask_prefect() -> Iterator[Finding]:
    """Make a real call to the Prefect server, if there is to be one."""
    from prefect import __version__  # noqa: PLC0415 - takes a second
    from prefect.settings import get_current_settings  # noqa: PLC0415

    settings = get_current_settings()
    url = settings.api.url
    if url is None:
        yield ok(
            "prefect server",
            "PREFECT_API_URL is not set: `goa run` needs no server; schedules need one, for the "
            "embedded one never fires them",
        )
        return
    headers, shown = _credentials(settings.api), hide_secrets(url)
    try:
        _call(f"{url}/flows/filter", headers, b'{"limit": 1}')
        served = _call(f"{url}/admin/version", headers)
    except (OSError, ValueError) as error:
        told = hide_secrets(f"{first_line(error)}{_body(error)}")
        yield fail("prefect server", f"{shown}: {told}")
        return
    if served == __version__:
        yield ok("prefect server", f"{shown} answers, {served}")
    else:
        yield warn(
            "prefect server", f"{shown} is {served}, here is {__version__}; make them the same"
        )
    if settings.server.ephemeral.enabled:
        yield warn(
            "prefect embedded",
            "allowed: should PREFECT_API_URL be lost, flows run where nobody sees them; set "
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE=false",
        )


def _credentials(api: Any) -> dict[str, str]:
    if api.auth_string is not None:
        token = base64.b64encode(api.auth_string.get_secret_value().encode()).decode()
        return {"Authorization": f"Basic {token}"}
    if api.key is not None:
        return {"Authorization": f"Bearer {api.key.get_secret_value()}"}
    return {}


def _call(url: str, headers: dict[str, str], body: bytes | None = None) -> Any:
    request = urllib.request.Request(
        url, data=body, headers={"Content-Type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.loads(answer.read())


def _body(error: Exception) -> str:
    """Give what a server says beside its status, where it says something."""
    if not isinstance(error, urllib.error.HTTPError):
        return ""
    said = error.read().decode(errors="replace").strip()
    return f": {excerpt(said, 200)}" if said else ""
