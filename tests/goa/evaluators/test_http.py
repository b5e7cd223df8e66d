"""A reward server, asked for real over the loopback interface."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from goa.errors import EvaluatorError
from goa.evaluators.contract import checked_score, pair_samples
from goa.evaluators.http import Http, HttpSettings
from goa.records import Example, Sample, Scores

TOKEN = "s3cret-token"
EXAMPLES = [Example(id=f"e{row}", source=f"s{row}", references=("r", "q")) for row in range(20)]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the server says to one request."""

    body: bytes | object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


def by_length(request: Any) -> Reply:
    """Score a candidate by a tenth of its length."""
    return Reply(body={"values": [len(sample["candidate"]) / 10 for sample in request["samples"]]})


class Server(ThreadingHTTPServer):
    """Gives the replies that it is told to, one after the other, then what ``answer`` makes."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: list[Reply] = []
        self.answer: Callable[[Any], Reply] = by_length
        self.requests: list[Any] = []
        self.headers: list[Mapping[str, str]] = []
        self.times: list[float] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/score"


class Handler(BaseHTTPRequestHandler):
    """Notes what was asked, and replies."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        request = json.loads(raw.decode("ascii"))
        with server.lock:
            server.requests.append(request)
            server.headers.append(dict(self.headers))
            server.times.append(time.monotonic())
            reply = server.replies.pop(0) if server.replies else None
        reply = reply or server.answer(request)
        time.sleep(reply.seconds)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(server: Server, **settings: Any) -> Http:
    return HttpSettings(**{"url": server.url, "backoff": 0.01, **settings}).build("judge")


def write(*candidates: str) -> list[Sample]:
    return pair_samples(EXAMPLES[: len(candidates)], candidates)


def test_a_request_and_its_answer_are_as_documented(server) -> None:
    server.replies = [Reply(body={"values": [0.25, None], "parts": {"tone": [0, 1]}, "x": 1})]
    scores = checked_score(ask(server), write("a", "b"))
    assert scores == Scores(values=(0.25, None), parts={"tone": (0.0, 1.0)})
    assert server.requests == [
        {
            "samples": [
                {"id": "e0", "source": "s0", "references": ["r", "q"], "candidate": "a"},
                {"id": "e1", "source": "s1", "references": ["r", "q"], "candidate": "b"},
            ]
        }
    ]
    assert server.headers[0]["Content-Type"] == "application/json"
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize("text", ["", "😀 مرحبا 我们", "\x00\n\ud800", "a" * 100_000])
def test_any_text_arrives_as_it_is(server, text) -> None:
    server.answer = lambda request: Reply(body={"values": [0.5] * len(request["samples"])})
    checked_score(ask(server), write(text))
    assert server.requests[0]["samples"][0]["candidate"] == text


def test_a_batch_is_cut_into_requests(server) -> None:
    checked_score(ask(server, batch_size=3, concurrency=1), write(*map(str, range(8))))
    assert [len(request["samples"]) for request in server.requests] == [3, 3, 2]


def test_no_samples_are_no_request(server) -> None:
    assert checked_score(ask(server), []) == Scores(values=())
    assert server.requests == []


def test_requests_run_side_by_side_and_order_is_kept(server) -> None:
    together = threading.Barrier(8, timeout=20)

    def later_first(request: Any) -> Reply:
        together.wait()
        values = [int(sample["candidate"]) / 10 for sample in request["samples"]]
        body = {"values": values, "parts": {"tone": values}}
        return Reply(body=body, seconds=0.2 - values[0] / 4)

    server.answer = later_first
    scores = checked_score(ask(server, batch_size=1, concurrency=8), write(*"01234567"))
    assert scores.values == scores.parts["tone"] == tuple(row / 10 for row in range(8))


def test_no_more_requests_run_side_by_side_than_told(server) -> None:
    running, most = [0], [0]

    def count(request: Any) -> Reply:
        with server.lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.05)
        with server.lock:
            running[0] -= 1
        return by_length(request)

    server.answer = count
    checked_score(ask(server, batch_size=1, concurrency=2), write(*"abcdef"))
    assert most == [2]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again_after_longer_and_longer_pauses(server, status) -> None:
    server.replies = [Reply(body=b"busy", status=status)] * 3
    assert checked_score(ask(server, backoff=0.05), write("ab")).values == (0.2,)
    assert len(server.requests) == 4
    assert server.requests[0] == server.requests[3]
    first, second, third, fourth = server.times
    assert second - first >= 0.05
    assert third - second >= 0.1
    assert fourth - third >= 0.2


class Patient:
    """Waits without waiting, and remembers."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return False

    def set(self) -> None:
        """Give up nothing: there is but one request."""


@pytest.mark.parametrize(
    ("backoff", "expected"), [(0.5, [0.5, 1.0, 2.0, 4.0]), (60.0, [60.0, 120.0, 240.0, 300.0])]
)
def test_pauses_double_up_to_five_minutes(server, monkeypatch, backoff, expected) -> None:
    patient = Patient()
    monkeypatch.setattr("goa.evaluators.connection.Event", lambda: patient)
    server.replies = [Reply(body=b"busy", status=503)] * 4
    found = checked_score(ask(server, backoff=backoff, retries=4), write("ab"))
    assert found.values == (0.2,)
    assert patient.waits == expected


def test_a_server_may_say_how_long_to_wait(server) -> None:
    server.replies = [Reply(body=b"", status=503, headers={"Retry-After": "1"})]
    assert checked_score(ask(server), write("ab")).values == (0.2,)
    assert server.times[1] - server.times[0] >= 1


def test_a_server_that_asks_for_too_long_is_given_up_at_once(server) -> None:
    server.replies = [Reply(body=b"", status=503, headers={"Retry-After": "3600"})]
    with pytest.raises(EvaluatorError, match=r"status 503, ''; it asks to wait 3600 s; tries: 1"):
        checked_score(ask(server), write("ab"))


def test_a_server_that_stays_busy_is_given_up(server) -> None:
    server.answer = lambda _: Reply(body=b"no\n room", status=503)
    message = f"^evaluator judge: {server.url}: status 503, 'no room'; tries: 3$"
    with pytest.raises(EvaluatorError, match=message):
        checked_score(ask(server, retries=2), write("ab"))
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_any_other_status_is_an_error_at_once(server, status) -> None:
    server.answer = lambda _: Reply(body=b"x" * 1000, status=status)
    with pytest.raises(EvaluatorError, match=rf"status {status}, 'x{{197}}\.\.\.'$"):
        checked_score(ask(server), write("ab"))
    assert len(server.requests) == 1


def test_redirects_are_not_followed(server) -> None:
    server.replies = [Reply(body=b"", status=307, headers={"Location": f"{server.url}/?key=1"})]
    with pytest.raises(EvaluatorError, match="status 307, ''; redirects are not followed") as told:
        checked_score(ask(server), write("ab"))
    assert len(server.requests) == 1
    assert "key" not in str(told.value)


def test_a_connection_that_fails_is_tried_again(server) -> None:
    url = server.url
    server.shutdown()
    server.server_close()
    evaluator = HttpSettings(url=url, retries=2, backoff=0.01).build("judge")
    with pytest.raises(EvaluatorError, match=r"judge: .*/score: ConnectError: .*; tries: 3$"):
        checked_score(evaluator, write("ab"))


@pytest.mark.parametrize(
    ("failure", "told", "tries"),
    [
        (httpx2.ConnectTimeout("slow"), "no connection within 1 s; tries: 3", 3),
        (httpx2.DecodingError("not gzip"), "DecodingError: not gzip", 1),
    ],
)
def test_only_what_may_be_over_soon_is_tried_again(
    server, monkeypatch, failure: Exception, told: str, tries: int
) -> None:
    tried: list[object] = []

    def post(*_: object, **__: object) -> None:
        tried.append(None)
        raise failure

    monkeypatch.setattr("httpx2.Client.post", post)
    with pytest.raises(EvaluatorError, match=told):
        checked_score(ask(server, timeout=1.0, retries=2, backoff=0.01), write("a"))
    assert len(tried) == tries


def test_a_silent_server_is_an_error_that_says_how_long_it_was_waited_for(server) -> None:
    server.replies = [Reply(body=b"{}", seconds=0.9)]
    with pytest.raises(EvaluatorError, match=r"no answer within 0\.3 s; raise timeout"):
        checked_score(ask(server, timeout=0.3), write("ab"))
    assert len(server.requests) == 1


def test_after_a_failure_what_has_not_begun_is_not_sent(server) -> None:
    server.answer = lambda _: Reply(body=b"", status=400, seconds=0.05)
    with pytest.raises(EvaluatorError, match="status 400"):
        checked_score(ask(server, batch_size=1, concurrency=2), write(*"abcdefghijkl"))
    assert len(server.requests) < 6


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>hello</html>", "not JSON: '<html>hello</html>'"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([0.5, 0.5], r'no object with the key "values": .\[0.5, 0.5\]'),
        ({"value": [0.5, 0.5]}, 'no object with the key "values"'),
        ({"values": 0.5}, '"values" is no list of numbers and nulls'),
        ({"values": [0.5, "1"]}, '"values" is no list of numbers and nulls'),
        ({"values": [0.5, True]}, '"values" is no list of numbers and nulls'),
        ({"values": [0.5]}, '"values" has 1 entries for 2 samples'),
        ({"values": [0.5, 0.5], "parts": [1]}, '"parts" is no object'),
        ({"values": [0.5, 0.5], "parts": {"tone": [1]}}, '"tone" has 1 entries for 2 samples'),
        ({"values": [0.5, 0.5], "parts": {"tone": None}}, '"tone" is no list'),
        ({"values": [0.5, 0.5], "parts": {"values": 3}}, '"values" is no list'),
    ],
)
def test_a_malformed_answer_is_told(server, body, message) -> None:
    server.replies = [Reply(body=body)]
    with pytest.raises(EvaluatorError, match=f"^evaluator judge: {server.url}: wrong .*{message}"):
        checked_score(ask(server), write("a", "b"))
    assert len(server.requests) == 1


@pytest.mark.parametrize("number", ["1.5", "-1", "NaN", "Infinity", "1" + "0" * 400])
def test_a_number_outside_the_unit_interval_is_told_with_its_sample(server, number) -> None:
    server.replies = [Reply(body=f'{{"values": [0.5, {number}]}}'.encode())]
    with pytest.raises(EvaluatorError, match=r"judge: gave .* not in \[0, 1\].*candidate 'b'"):
        checked_score(ask(server), write("a", "b"))


def test_answers_with_different_parts_are_told(server) -> None:
    server.replies = [
        Reply(body={"values": [0.5], "parts": {"tone": [1]}}),
        Reply(body={"values": [0.5], "parts": {"facts": [1], "tone": [1]}}),
    ]
    with pytest.raises(EvaluatorError, match=r"parts: \['facts', 'tone'\] and \['tone'\]"):
        checked_score(ask(server, batch_size=1), write("a", "b"))


def test_a_token_is_sent_and_told_nobody(server, monkeypatch) -> None:
    monkeypatch.setenv("JUDGE_TOKEN", TOKEN)
    judge = ask(server, token_variable="JUDGE_TOKEN")
    checked_score(judge, write("ab"))
    assert server.headers[0]["Authorization"] == f"Bearer {TOKEN}"
    server.answer = lambda _: Reply(body=f"Bearer {TOKEN} is not known".encode(), status=401)
    with pytest.raises(EvaluatorError, match=r"status 401, 'Bearer \*\*\* is not known'") as told:
        checked_score(judge, write("ab"))
    assert TOKEN not in f"{told.value!r} {judge.signature}"


@pytest.mark.parametrize(
    ("token", "message"),
    [("", "is not set"), (f"{TOKEN}\n", "no token has"), (f"{TOKEN}é", "no token has")],
)
def test_a_token_that_cannot_be_sent_is_refused_unseen(server, monkeypatch, token, message) -> None:
    monkeypatch.setenv("JUDGE_TOKEN", token)
    with pytest.raises(EvaluatorError, match=f"variable JUDGE_TOKEN .*{message}") as told:
        checked_score(ask(server, token_variable="JUDGE_TOKEN"), write("ab"))
    assert TOKEN not in str(told.value)
    assert server.requests == []


def test_building_needs_neither_token_nor_server(monkeypatch) -> None:
    monkeypatch.delenv("JUDGE_TOKEN", raising=False)
    HttpSettings(url="http://127.0.0.1:1", token_variable="JUDGE_TOKEN").build("judge")


def test_a_query_is_sent_but_neither_shown_nor_signed(server) -> None:
    server.answer = lambda _: Reply(body=b"", status=400)
    judge = ask(server, url=f"{server.url}?room={TOKEN}")
    with pytest.raises(EvaluatorError) as told:
        checked_score(judge, write("ab"))
    assert TOKEN not in f"{told.value!r} {judge.signature}"
    assert judge.signature != ask(server).signature
    assert judge.signature != ask(server, url=f"{server.url}?room=other").signature


def test_the_signature_changes_with_the_servers_version_and_address(server) -> None:
    signatures = {
        ask(server).signature,
        ask(server, version="2").signature,
        ask(server, url=f"{server.url}/other").signature,
        ask(server, batch_size=8).signature,
        ask(server, reads_batch=True).signature,
    }
    assert len(signatures) == 5
    assert ask(server).signature in signatures


def test_what_reads_the_batch_or_draws_says_so(server) -> None:
    reads, draws = ask(server, reads_batch=True), ask(server, draws=True)
    assert (reads.reads_batch, reads.draws) == (True, False)
    assert (draws.reads_batch, draws.draws) == (False, True)
    same = pair_samples([EXAMPLES[0]] * 2, ["a", "a"])
    for judge in (reads, draws, ask(server)):
        checked_score(judge, same)
    assert [len(request["samples"]) for request in server.requests] == [2, 2, 1]
