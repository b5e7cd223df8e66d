"""A client of a reward server: any program that answers to this protocol.

A request is ``POST url`` with ``Content-Type: application/json`` and, where ``token_variable`` is
set, ``Authorization: Bearer TOKEN``. Its body is JSON in ASCII: all other characters are escapes,
also halves of surrogate pairs that stand alone, which a policy may write::

    {"samples": [{"id": "7", "source": "...", "references": ["...", "..."], "candidate": "..."}]}

``id`` names the example, not the sample: several candidates of an example share it. A request has
1 to ``batch_size`` samples, and at least one reference each. Requests come side by side, and the
same request may come twice, after an answer that was lost.

The answer is status 200 and a JSON object::

    {"values": [0.25, null], "parts": {"tone": [0.5, null], "facts": [0.0, null]}}

``values`` has one entry a sample, in order: a number in [0, 1], higher is better, or null where
there is none (an evaluator that is trained on has to have one everywhere). ``parts``, which may be
left out, is a breakdown laid out alike, with the same names in every answer. Other keys are
ignored.

A server that cannot answer now says 429, 502, 503 or 504. It is asked again after ``backoff``
seconds, then twice that, and so on, and not before ``Retry-After`` has passed (seconds or a date,
300 s at most); so is one that cannot be connected to. Any other status is an error, redirects too,
and so are ``timeout`` seconds of silence. Proxies are those of the environment (``HTTPS_PROXY``,
``NO_PROXY``).
"""

import hashlib
import json
from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from goa.evaluators.connection import Connection, ConnectionSettings, shown_url
from goa.evaluators.contract import Evaluator, describe
from goa.evaluators.recipe import Influence, Recipe
from goa.records import Sample, Scores


class HttpSettings(ConnectionSettings, Recipe):
    """Which server scores, and what is true of its scores."""

    kind: Literal["http"] = "http"
    version: str = ""
    """Of what answers there; change it when the server's scores change."""
    batch_size: int = Field(64, ge=1, le=100_000)
    """Samples a request."""
    reads_references: bool = True
    """Whether a score hangs on the references. Where it does not, say false: then candidates can be
    chosen by it where there are no references, and the server sees an empty one there."""
    reads_batch: bool = False
    """Whether a score hangs on the other samples of the request."""
    draws: bool = False
    """Whether equal samples may have different scores; such a run cannot be repeated."""

    @property
    def hangs_on(self) -> frozenset[Influence]:
        """What scores hang on, as the settings have it."""
        told: dict[Influence, bool] = {
            "references": self.reads_references,
            "batch": self.reads_batch,
            "chance": self.draws,
        }
        return frozenset(influence for influence, hangs in told.items() if hangs)

    def build(self, name: str) -> "Http":
        """Build the evaluator; the server is not asked yet."""
        return Http(name, self)


class Http(Evaluator):
    """What a server says."""

    def __init__(self, name: str, settings: HttpSettings) -> None:
        self.name = name
        self.reads_batch = settings.reads_batch
        self.draws = settings.draws
        told = settings.model_copy(update={"url": _told(settings.url)})
        self.signature = describe(told, "goa", without=["reads_references"])
        self._batch_size = settings.batch_size
        self._connection = Connection(name, settings)

    def score(self, samples: Sequence[Sample]) -> Scores:
        """Score samples by as many requests as they need.

        Raises:
            EvaluatorError: the server cannot be reached, refuses, or breaks the protocol.
        """
        size = self._batch_size
        batches = [samples[start : start + size] for start in range(0, len(samples), size)]
        answers = self._connection.post([_as_json(batch) for batch in batches])
        scores = [
            self._read(answer, len(batch)) for answer, batch in zip(answers, batches, strict=True)
        ]
        return Scores(
            values=tuple(chain.from_iterable(found.values for found in scores)),
            parts={
                part: tuple(chain.from_iterable(found.parts[part] for found in scores))
                for part in self._part_names(scores)
            },
        )

    def _part_names(self, scores: Sequence[Scores]) -> list[str]:
        names = {tuple(sorted(found.parts)) for found in scores}
        if len(names) > 1:
            shown = " and ".join(str(list(found)) for found in sorted(names))
            raise self._connection.error(f"answers have different parts: {shown}")
        return list(scores[0].parts) if scores else []

    def _read(self, content: bytes, num_samples: int) -> Scores:
        try:
            # Integers as floats: one of a thousand digits is infinite, and no exception.
            answer = json.loads(content, parse_int=float)
        except (ValueError, RecursionError):
            raise self._error("not JSON", content) from None
        if not isinstance(answer, dict) or "values" not in answer:
            raise self._error('no object with the key "values"', content)
        parts = answer.get("parts", {})
        if not isinstance(parts, dict):
            raise self._error('"parts" is no object', content)
        for name, column in [("values", answer["values"]), *parts.items()]:
            if not _is_column(column):
                raise self._error(f'"{name}" is no list of numbers and nulls', content)
            if len(column) != num_samples:
                found = f'"{name}" has {len(column)} entries for {num_samples} samples'
                raise self._error(found, content)
        return Scores(
            values=tuple(answer["values"]),
            parts={name: tuple(column) for name, column in parts.items()},
        )

    def _error(self, problem: str, content: bytes) -> Exception:
        said = self._connection.quote(content.decode(errors="replace"))
        return self._connection.error(f"wrong answer: {problem}: {said}")


def _is_column(column: Any) -> bool:
    return isinstance(column, list) and all(
        entry is None or isinstance(entry, float) for entry in column
    )


def _as_json(samples: Sequence[Sample]) -> bytes:
    rows = [
        {
            "id": sample.example.id,
            "source": sample.example.source,
            "references": sample.example.references,
            "candidate": sample.candidate,
        }
        for sample in samples
    ]
    return json.dumps({"samples": rows}).encode("ascii")


def _told(url: str) -> str:
    """Tell one url from another without a query that may be secret."""
    query = urlsplit(url).query.encode()
    shown = shown_url(url)
    return f"{shown}?{hashlib.blake2b(query, digest_size=8).hexdigest()}" if query else shown
