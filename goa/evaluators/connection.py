"""Asking a server over HTTP: several requests at a time, with patience while it is busy."""

import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from threading import Event
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, model_validator

from goa.errors import EvaluatorError, excerpt, first_line, hide_secrets
from goa.settings import Settings

if TYPE_CHECKING:
    import httpx2

LONGEST_WAIT = 300.0
"""Seconds between two tries at most; a server that asks for more is given up."""

_BUSY = frozenset({429, 502, 503, 504})


class ConnectionSettings(Settings):
    """Where the server is, and how it is asked."""

    url: str
    """http or https; no user and no password in it: see token_variable."""
    concurrency: int = Field(4, ge=1, le=64)
    """Requests at a time."""
    timeout: float = Field(60.0, gt=0.0, le=3600.0)
    """Seconds without a sign of the server, after which it is given up."""
    retries: int = Field(3, ge=0, le=20)
    """Tries of a request after the first."""
    backoff: float = Field(1.0, ge=0.0, le=60.0)
    """Seconds before the second try; each further one waits twice as long as the one before."""
    token_variable: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable that holds a bearer token; use https then."""

    @model_validator(mode="after")
    def _url_can_be_asked(self) -> Self:
        # Of the whole section, so that the message does not show a url with a password in it.
        problem = _problem_of(self.url)
        if problem:
            raise ValueError(f"url: {problem}")
        return self


class Connection:
    """A server, asked in the name of an evaluator."""

    def __init__(self, evaluator: str, settings: ConnectionSettings) -> None:
        self._evaluator = evaluator
        self._settings = settings

    def post(self, bodies: Sequence[bytes]) -> list[bytes]:
        """Send JSON bodies, each in a request of its own; give the answers, in their order.

        Status 429, 502, 503 and 504, and connections that fail, are tried again. After a
        failure, what has not begun is not sent.

        Raises:
            EvaluatorError: the server cannot be reached, is silent, or refuses.
        """
        if not bodies:
            return []
        import httpx2  # noqa: PLC0415 - checking settings should be fast

        width = min(self._settings.concurrency, len(bodies))
        given_up = Event()
        with (
            # A client of this call alone: a server may close connections between two rounds.
            httpx2.Client(
                timeout=self._settings.timeout,
                headers=self._headers(),
                limits=httpx2.Limits(max_connections=width),
                follow_redirects=False,
            ) as client,
            ThreadPoolExecutor(width) as pool,
        ):
            asked = [pool.submit(self._ask, client, body, given_up) for body in bodies]
            try:
                return [future.result() for future in asked]
            finally:
                given_up.set()
                pool.shutdown(cancel_futures=True)

    def error(self, problem: str) -> EvaluatorError:
        """Make an error that names evaluator and server."""
        shown = shown_url(self._settings.url)
        # A proxy of the environment may have a password, and be named in an error.
        return EvaluatorError(f"evaluator {self._evaluator}: {shown}: {hide_secrets(problem)}")

    def quote(self, text: str) -> str:
        """Quote from what the server said, without the token that it may have repeated."""
        token = self._token()
        line = " ".join(text.split())
        return repr(excerpt(line.replace(token, "***") if token else line, 200))

    def _ask(self, client: "httpx2.Client", body: bytes, given_up: Event) -> bytes:
        pause, tries = self._settings.backoff, 0
        while True:
            tries += 1
            answer = self._try(client, body)
            if isinstance(answer, bytes):
                return answer
            wait = max(min(pause, LONGEST_WAIT), answer.wait)
            if tries > self._settings.retries or wait > LONGEST_WAIT or given_up.wait(wait):
                asked = f"; it asks to wait {answer.wait:.0f} s" if answer.wait else ""
                raise self.error(f"{answer.problem}{asked}; tries: {tries}")
            pause *= 2

    def _try(self, client: "httpx2.Client", body: bytes) -> "bytes | _Busy":
        import httpx2  # noqa: PLC0415

        seconds = f"{self._settings.timeout:g} s"
        try:
            response = client.post(self._settings.url, content=body)
        except httpx2.ConnectTimeout:
            return _Busy(problem=f"no connection within {seconds}")
        except httpx2.TimeoutException:
            # Not tried again: that would only add to the load of a server that is slow.
            raise self.error(
                f"no answer within {seconds}; raise timeout, or ask for less at a time"
            ) from None
        except httpx2.TransportError as error:
            return _Busy(problem=f"{type(error).__name__}: {first_line(error)}")
        except httpx2.RequestError as error:
            raise self.error(f"{type(error).__name__}: {first_line(error)}") from None
        if response.status_code == httpx2.codes.OK:
            return response.content
        problem = f"status {response.status_code}, {self.quote(response.text)}"
        if response.status_code in _BUSY:
            wait = seconds_to_wait(response.headers.get("Retry-After", ""), time.time())
            return _Busy(problem=problem, wait=wait)
        hint = "; redirects are not followed, set url to the final one"
        raise self.error(problem + hint * response.is_redirect)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        token = self._token()
        return headers | ({"Authorization": f"Bearer {token}"} if token else {})

    def _token(self) -> str:
        """Read the token where it is needed: who only compares scores does without."""
        variable = self._settings.token_variable
        if variable is None:
            return ""
        token = os.environ.get(variable, "")
        if not re.fullmatch(r"[!-~]+", token):
            what = "has characters that no token has" if token else "is not set"
            raise self.error(f"environment variable {variable} {what}")
        return token


@dataclass(frozen=True, slots=True, kw_only=True)
class _Busy:
    """A try that failed, and may succeed later."""

    problem: str
    """What a message says of it."""
    wait: float = 0.0
    """Seconds that the server asks to wait."""


def shown_url(url: str) -> str:
    """Leave out of a url what may be secret: user, password, query, fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def seconds_to_wait(retry_after: str, now: float) -> float:
    """Read the header Retry-After, seconds or a date, at Unix time ``now``; 0 where it is amiss."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - now
        except (ValueError, OverflowError):
            return 0.0
    return max(0.0, seconds)  # 0, too, for what float() reads as nan


def _problem_of(url: str) -> str:
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        return "has spaces or control characters"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        return "write http://host:port/path or https://host/path"
    if "@" in parts.netloc:
        return "leave out user and password; put a token in an environment variable and name that"
    if hide_secrets(url) != url:
        return (
            "leave out the key in its query, which MLflow and reports would show; put a token in "
            "an environment variable, and name that in token_variable"
        )
    return ""
