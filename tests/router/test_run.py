"""Attempts over a real wire: a provider on loopback that does what each test tells it, byte by byte."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from dataelan_web.router import exchange, providers, wire
from dataelan_web.router import run as running
from dataelan_web.router.candidates import Candidate, Key
from dataelan_web.router.health import kind_for_health
from dataelan_web.router.parameters import REFUSABLE, fitted
from dataelan_web.router.plan import Plan, Step
from dataelan_web.router.rules import Rule
from dataelan_web.router.run import Result, run
from dataelan_web.router.stop import Stop
from dataelan_web.router.types import (
    Again,
    Call,
    Done,
    Event,
    Failure,
    Fate,
    Kind,
    Progress,
    Prompt,
    Refusal,
    Text,
    Tool,
    Usage,
    user,
)
from dataelan_web.router.wire import Deadlines

Reply = Callable[[socket.socket], None]
QUICK = Deadlines(connect=1, first_byte=0.3, idle=0.3, total=5)
PROMPT = Prompt((user("Hi"),))
WARM = replace(PROMPT, temperature=0.2)


# -- a provider that obeys -----------------------------------------------------------------------


class Provider:
    """Plays one reply a request, in order; the last again and again. `requests` holds what it was sent."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def answers(self, *replies: Reply) -> None:
        self.replies = list(replies)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which else keeps the port open
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += more(connection)
            head, _, body = request.partition(b"\r\n\r\n")
            size = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
            )
            while len(body) < size:
                body += more(connection)
            self.requests.append((head + b"\r\n\r\n" + body).decode())
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            reply(connection)

    @property
    def keys(self) -> list[str]:
        """Which key each request came with."""
        return [request.lower().split("authorization: bearer ")[1].split("\r\n")[0] for request in self.requests]


def more(connection: socket.socket) -> bytes:
    """What comes next. Raises OSError where the caller has left: asking on would go round for ever."""
    received = connection.recv(65536)
    if not received:
        raise ConnectionResetError
    return received


def response(body: bytes, status: str = "200 OK", type: str = "application/json", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-type: {type}", f"content-length: {len(body)}", "connection: close"]
    return "\r\n".join([*head, *headers, "", ""]).encode() + body


def says(content: bytes) -> Reply:
    return lambda connection: connection.sendall(content)


def refuses(status: str, code: str = "", *headers: str) -> Reply:
    error = {"error": {"message": f"No: {status}", "code": code, "type": code}}
    return says(response(json.dumps(error).encode(), status, "application/json", *headers))


def chunk(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


OPENING = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
ENDING = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
)
whole = says(OPENING + chunk("Hello") + chunk(" you") + ENDING)


def streams(*pieces: bytes, pause: float = 0.0, then: float = 0.0) -> Reply:
    """An opening and these pieces, and silence of `then` seconds before the line is closed."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(OPENING)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        time.sleep(then)

    return reply


def silence(connection: socket.socket) -> None:
    time.sleep(3)


def hangs_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


# -- who asks ------------------------------------------------------------------------------------


@dataclass
class Book:
    """The journal, kept in memory."""

    leaves_out: ClassVar[frozenset[str]] = frozenset(REFUSABLE)
    begun: list[str] = field(default_factory=list)
    ended: list[Result] = field(default_factory=list)
    refusals: list[Failure] = field(default_factory=list)
    waits: list[Again] = field(default_factory=list)

    def begin(self, step: Step, number: int, prompt: Prompt) -> Prompt:
        if self.refusals:
            raise self.refusals.pop(0)
        self.begun.append(step.key.label)
        return fitted(prompt, step.candidate)[0]

    def waiting(self, step: Step, number: int, again: Again) -> None:
        self.waits.append(again)

    def end(self, step: Step, number: int, result: Result) -> None:
        self.ended.append(result)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff without the waiting."""
    monkeypatch.setattr(running.random, "uniform", lambda low, high: 0.01)


def step(provider: Provider | str, model: str = "m", label: str = "k1", kind: str = "openai") -> Step:
    url = provider if isinstance(provider, str) else provider.url
    candidate = Candidate(NAMED.setdefault(model, uuid4()), model, uuid4(), "P", kind, url, ())
    return Step(candidate, Key(uuid4(), label, "organization"))


NAMED: dict[str, Any] = {}


def ask(
    book: Book, *steps: Step, prompt: Prompt = PROMPT, rule: Rule | None = None, **options: Any
) -> list[Event]:  # fmt: skip
    """All events. The key's label is its secret."""
    options = {"deadlines": QUICK, "stop": Stop(), "secret": lambda step: step.key.label} | options
    with wire.clients() as http:
        return list(run(Plan(steps, rule=rule), prompt, http, book, **options))


def failing(book: Book, *steps: Step, **options: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        ask(book, *steps, **options)
    assert len(book.begun) == len(book.ended)
    assert all(result.failure for result in book.ended)
    return caught.value


def text(events: list[Event]) -> str:
    return "".join(event.delta for event in events if isinstance(event, Text))


# -- tests ---------------------------------------------------------------------------------------


def test_an_answer_comes_as_events_and_is_noted_whole(provider: Provider, book: Book) -> None:
    provider.answers(whole)
    events = ask(book, step(provider))
    assert text(events) == "Hello you"
    assert isinstance(events[-1], Done)
    (result,) = book.ended
    assert (result.failure, result.visible, result.usage) == (None, True, Usage(3, None, None, 2))
    assert result.first_token_at is not None


def test_a_wrong_key_leads_to_the_next_key_and_not_to_the_next_model(provider: Provider, book: Book) -> None:
    provider.answers(refuses("401 Unauthorized"), whole)
    ask(book, step(provider), step(provider, label="k2"), step(provider, "other", "k3"))
    assert provider.keys == ["k1", "k2"]


def test_a_rate_limit_leads_to_the_next_key_at_once(provider: Provider, book: Book) -> None:
    provider.answers(refuses("429 Too Many Requests", "", "retry-after: 15"), whole)
    started = time.monotonic()
    ask(book, step(provider), step(provider, label="k2"))
    assert provider.keys == ["k1", "k2"]
    assert time.monotonic() - started < 1


def test_with_one_key_a_rate_limit_waits_as_long_as_it_was_told_to(provider: Provider, book: Book) -> None:
    provider.answers(refuses("429 Too Many Requests", "", "retry-after: 1"), whole)
    started = time.monotonic()
    assert text(ask(book, step(provider))) == "Hello you"
    assert 1 <= time.monotonic() - started < 2


def test_a_rate_limit_of_an_hour_is_not_waited_for(provider: Provider, book: Book) -> None:
    provider.answers(refuses("429 Too Many Requests", "", "retry-after: 3600"))
    failure = failing(book, step(provider))
    assert (failure.kind, failure.after, len(provider.requests)) == (Kind.RATE_LIMIT, 3600, 1)


def test_a_model_without_room_is_tried_three_times_and_then_the_next(provider: Provider, book: Book) -> None:
    down = refuses("503 Service Unavailable")
    provider.answers(down, down, down, whole)
    ask(book, step(provider, "a"), step(provider, "a", "k2"), step(provider, "b", "k3"))
    assert provider.keys == ["k1", "k1", "k1", "k3"]


def page(status: str, body: bytes = b"<html><h1>Bad gateway</h1></html>") -> Reply:
    """What a proxy says, and not the provider behind it."""
    return says(response(body, status, "text/html"))


FAILED = ["500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout", "424 Failed Dependency"]


@pytest.mark.parametrize("reply", [*map(refuses, FAILED), page("500 Oh"), page("521 Down")])
def test_what_the_provider_says_has_failed_goes_to_the_next_model_at_once(
    reply: Reply, provider: Provider, book: Book
) -> None:
    provider.answers(reply, whole)
    assert text(ask(book, step(provider, "a"), step(provider, "a", "k2"), step(provider, "b", "k3"))) == "Hello you"
    assert provider.keys == ["k1", "k3"]


UNHEARD: list[Reply] = [
    silence,
    hangs_up,
    says(b"HTTP/1.1 200 OK\r\ncontent-le"),
    streams(b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'),
    says(response(b'{"choices": oops')),
    *(page(status) for status in ("408 Timeout", "502 Bad Gateway", "504 Gateway Timeout", "524 A Timeout Occurred")),
    page("502 Bad Gateway", b""),
    page("503 No", b"upstream connect error or disconnect/reset before headers. reset reason: connection termination"),
]


@pytest.mark.parametrize("reply", UNHEARD)
def test_what_may_have_been_taken_is_asked_of_nobody_else(reply: Reply, provider: Provider, book: Book) -> None:
    provider.answers(reply, whole)
    failure = failing(book, step(provider, "a"), step(provider, "a", "k2"), step(provider, "b"))
    assert (failure.kind, failure.fate, len(provider.requests)) == (Kind.TRANSIENT, Fate.UNKNOWN, 1)


@pytest.mark.parametrize("reply", UNHEARD)
def test_a_rule_may_say_that_the_next_model_is_asked_all_the_same(reply: Reply, provider: Provider, book: Book) -> None:
    rule = Rule("quick", (), goes_on_unheard=True)
    provider.answers(reply, whole)
    steps = step(provider, "a"), step(provider, "a", "k2"), step(provider, "b", "k3")
    assert text(ask(book, *steps, rule=rule)) == "Hello you"
    assert provider.keys == ["k1", "k3"]
    provider.answers(reply, refuses("401 Unauthorized"))
    assert failing(Book(), *steps, rule=rule).fate is Fate.UNKNOWN  # not the last, which nobody pays


@pytest.mark.parametrize("status", ["409 Conflict", "503 Service Unavailable", "529 Overloaded"])
def test_pauses_between_tries_grow_whatever_the_server_failed_with(
    status: str, provider: Provider, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.random, "uniform", lambda low, high: high)
    pauses: list[float] = []

    class Unhurried(Stop):
        def wait(self, seconds: float) -> bool:
            pauses.append(seconds)
            return False

    provider.answers(refuses(status))
    failing(book, step(provider), stop=Unhurried())
    assert pauses == [0.5, 1.0]


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "422 Unprocessable Entity"])
def test_a_bad_request_is_not_repeated(status: str, provider: Provider, book: Book) -> None:
    provider.answers(refuses(status))
    assert failing(book, step(provider), step(provider, label="k2")).kind is Kind.BAD_REQUEST
    assert len(provider.requests) == 1


NO_TEMPERATURE = says(response(b'{"error": {"message": "`temperature` is deprecated for this model."}}', "400 No"))


def test_what_a_model_does_not_take_is_left_out_and_the_model_asked_again_at_once(
    provider: Provider, book: Book
) -> None:
    provider.answers(NO_TEMPERATURE, whole)
    assert text(ask(book, step(provider), step(provider, "b"), prompt=WARM)) == "Hello you"
    assert ['"temperature"' in request for request in provider.requests] == [True, False]
    assert [result.failure and result.failure.refused for result in book.ended] == ["temperature", None]


def test_whoever_refuses_what_was_not_sent_is_not_asked_again(provider: Provider, book: Book) -> None:
    provider.answers(NO_TEMPERATURE)
    failing(book, step(provider), prompt=WARM)
    assert len(provider.requests) == 2


def test_what_a_program_sent_is_not_changed(provider: Provider) -> None:
    class Verbatim(Book):
        leaves_out = frozenset[str]()

        def begin(self, step: Step, number: int, prompt: Prompt) -> Prompt:
            self.begun.append(step.key.label)
            return prompt

    provider.answers(NO_TEMPERATURE, whole)
    failing(Verbatim(), step(provider), prompt=WARM)
    assert len(provider.requests) == 1


NO_CHAT = says(response(b'{"error": {"message": "This model is only supported in v1/responses."}}', "404 Not Found"))
ANSWERED = {
    "type": "response.completed",
    "response": {"status": "completed", "output": [], "usage": {"input_tokens": 3, "output_tokens": 2}},
}
in_responses = says(
    OPENING
    + b'data: {"type": "response.output_text.delta", "delta": "Hello you"}\n\n'
    + b"data: %s\n\n" % json.dumps(ANSWERED).encode()
)


@pytest.mark.parametrize("leaves_out", [True, False])
def test_a_model_that_refuses_chat_completions_is_asked_in_the_responses_format_at_once(
    provider: Provider, leaves_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Book, "leaves_out", leaves_out)
    book = Book()
    provider.answers(NO_CHAT, in_responses)
    assert text(ask(book, step(provider), step(provider, "b"))) == "Hello you"
    assert [request.split()[1].rpartition("/")[2] for request in provider.requests] == ["completions", "responses"]
    assert [kind_for_health(one.failure) for one in book.ended if one.failure] == [Kind.BAD_REQUEST], "it is well"


def test_a_model_that_answers_in_neither_format_is_asked_once_in_each(provider: Provider, book: Book) -> None:
    provider.answers(NO_CHAT, NO_CHAT, whole)
    assert text(ask(book, step(provider), step(provider, "b"))) == "Hello you"
    assert len(provider.requests) == 3


def test_other_formats_have_no_responses_format_beside_them(provider: Provider, book: Book) -> None:
    provider.answers(NO_CHAT)
    failing(book, step(provider, kind="anthropic"))
    assert len(provider.requests) == 1


def test_a_refusal_for_content_goes_nowhere_else(provider: Provider, book: Book) -> None:
    provider.answers(refuses("400 Bad Request", "content_policy_violation"))
    failing(book, step(provider), step(provider, "b"), step(provider, "c"))
    assert len(provider.requests) == 1


@pytest.mark.parametrize("reply", [silence, hangs_up, says(b"HTTP/1.1 200 OK\r\ncontent-le")])
def test_a_request_that_may_have_been_taken_is_never_sent_twice(reply: Reply, provider: Provider, book: Book) -> None:
    provider.answers(reply)
    assert failing(book, step(provider), step(provider, label="k2")).kind is Kind.TRANSIENT
    assert len(provider.requests) == 1


def test_a_provider_that_cannot_be_reached_is_tried_again_and_then_another(provider: Provider, book: Book) -> None:
    closed = Provider()
    closed.close()
    provider.answers(whole)
    assert text(ask(book, step(closed, "a"), step(provider, "b"))) == "Hello you"
    assert [result.failure and result.failure.sent for result in book.ended] == [False, False, False, None]


def test_when_all_fail_the_first_failure_is_told(provider: Provider, book: Book) -> None:
    provider.answers(refuses("401 Unauthorized"), refuses("404 Not Found"))
    assert failing(book, step(provider, "a"), step(provider, "b")).kind is Kind.CREDENTIAL


def test_after_visible_text_there_is_no_retry_and_no_fallback(provider: Provider, book: Book) -> None:
    provider.answers(streams(chunk("Hel")), whole)
    events: list[Event] = []
    with pytest.raises(Failure), wire.clients() as http:
        steps = (step(provider, "a"), step(provider, "b"))
        for event in run(Plan(steps), PROMPT, http, book, lambda step: "k", Stop(), QUICK):
            events.append(event)
    assert text(events) == "Hel"
    assert len(provider.requests) == 1
    assert book.ended[0].visible


def test_an_error_inside_an_answer_of_status_200_is_an_error(provider: Provider, book: Book) -> None:
    provider.answers(streams(b'data: {"error":{"message":"Overloaded","code":"overloaded"}}\n\n'), whole)
    assert text(ask(book, step(provider))) == "Hello you"
    provider.answers(streams(chunk("a"), b'data: {"error":{"message":"Overloaded"}}\n\n'), whole)
    assert "Overloaded" in failing(book2 := Book(), step(provider)).message
    assert book2.ended[0].visible


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (says(response(b"<!doctype html><h1>Sign in</h1>", type="text/html")), "web page"),
        (says(response(b"")), "empty"),
        (says(response(b'{"choices": oops')), "not valid JSON"),
        (says(response(b"\xff\xfe\x00\x01 noise")), "neither JSON nor an event stream"),
        (streams(chunk("x" * 9_000_000)), "larger than 8 MiB"),
        (says(response(b'{"hello": "world"}')), "not a chat completion"),
        (says(b"Not HTTP at all\r\n\r\n"), "broke"),
    ],
)
def test_nonsense_is_a_failure_with_words(reply: Reply, words: str, provider: Provider, book: Book) -> None:
    provider.answers(reply)
    failure = failing(book, step(provider), deadlines=Deadlines())
    assert words in failure.message
    assert len(provider.requests) == 1


def test_a_redirect_is_refused_and_the_key_not_sent_on(provider: Provider, book: Book) -> None:
    elsewhere = Provider()
    elsewhere.answers(whole)
    provider.answers(refuses("307 Temporary Redirect", "", f"location: {elsewhere.url}/chat/completions"))
    assert "redirects elsewhere" in failing(book, step(provider)).message
    assert elsewhere.requests == []
    elsewhere.close()


def test_a_compressed_answer_is_refused_before_it_unpacks(provider: Provider, book: Book) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    provider.answers(says(response(bomb, "200 OK", "application/json", "content-encoding: gzip")))
    assert "compressed" in failing(book, step(provider)).message
    assert "accept-encoding: identity" in provider.requests[0].lower()


def test_an_endless_answer_is_bounded(provider: Provider, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_ANSWER_BYTES", 100_000)
    comments = b": still here\n" * 1000
    provider.answers(streams(*[comments] * 1000))
    assert "larger than" in failing(book, step(provider)).message


def test_an_endless_error_is_bounded_in_size_and_time(provider: Provider, book: Book) -> None:
    def drips(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 500 Oh\r\nconnection: close\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.1)

    provider.answers(drips)
    started = time.monotonic()
    failing(book, step(provider), deadlines=Deadlines(1, 1, 1, total=0.5))
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("reply", "deadlines"),
    [
        (silence, Deadlines(first_byte=0.3)),
        (silence, Deadlines(total=0.3)),
        (streams(b": hello\n\n", then=3), Deadlines(idle=0.3)),
        (streams(b": hello\n\n", then=3), Deadlines(total=0.3)),
        (streams(*[b": hello\n\n"] * 60, pause=0.05), Deadlines(total=0.3)),
    ],
)
def test_each_deadline_ends_a_wait(reply: Reply, deadlines: Deadlines, provider: Provider, book: Book) -> None:
    provider.answers(reply)
    started = time.monotonic()
    assert failing(book, step(provider), deadlines=deadlines).kind is Kind.TRANSIENT
    assert time.monotonic() - started < 1


def test_the_total_deadline_holds_over_all_attempts(provider: Provider, book: Book) -> None:
    provider.answers(silence)
    started = time.monotonic()
    steps, going_on = (step(provider, f"m{place}") for place in range(9)), Rule("quick", (), goes_on_unheard=True)
    failing(book, *steps, deadlines=Deadlines(1, 0.4, 1, total=0.6), rule=going_on)
    assert time.monotonic() - started < 1.5
    assert len(provider.requests) == 2


@pytest.mark.parametrize("reply", [silence, streams(b": hello\n\n", then=3), streams(chunk("a"), then=3)])
def test_stop_wakes_a_blocked_read(reply: Reply, provider: Provider, book: Book) -> None:
    provider.answers(reply)
    stop = Stop()
    threading.Thread(target=stop_once_asked, args=(provider, stop), daemon=True).start()
    started = time.monotonic()
    failure = failing(book, step(provider), step(provider, "b"), stop=stop, deadlines=Deadlines())
    assert failure.kind is Kind.ABORTED
    assert 0.1 < time.monotonic() - started < 1
    assert len(provider.requests) == 1


def test_stop_wakes_a_read_on_a_connection_that_was_used_before(provider: Provider, book: Book) -> None:
    body = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()
    kept = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    def twice(connection: socket.socket) -> None:
        connection.sendall(kept)
        connection.recv(65536)
        time.sleep(3)

    provider.answers(twice)
    with wire.clients() as http:
        assert text(list(run(Plan((step(provider),)), PROMPT, http, book, lambda step: "k", Stop(), QUICK))) == "Hi"
        stop = Stop()
        threading.Timer(0.3, stop.request).start()
        started = time.monotonic()
        with pytest.raises(Failure, match="Stopped"):
            list(run(Plan((step(provider),)), PROMPT, http, book, lambda step: "k", stop))
        assert time.monotonic() - started < 1
    assert len(provider.requests) == 1


def stop_once_asked(provider: Provider, stop: Stop) -> None:
    while not provider.requests:
        time.sleep(0.01)
    time.sleep(0.1)
    stop.request()


def test_stop_ends_the_wait_before_a_retry_and_a_stopped_run_sends_nothing(provider: Provider, book: Book) -> None:
    provider.answers(refuses("429 Too Many Requests", "", "retry-after: 15"))
    stop = Stop()
    threading.Thread(target=stop_once_asked, args=(provider, stop), daemon=True).start()
    assert failing(book, step(provider), stop=stop).kind is Kind.ABORTED
    failing(book, step(provider), stop=stop)
    assert len(provider.requests) == 1
    assert book.ended[-1].failure is not None
    assert not book.ended[-1].failure.sent


def test_a_proxy_in_the_environment_is_not_used(
    provider: Provider, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Provider()
    proxy.answers(refuses("500 No"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy.url)
    provider.answers(whole)
    ask(book, step(provider))
    assert proxy.requests == []
    proxy.close()


def test_a_reader_that_goes_away_closes_the_journal_and_the_line(provider: Provider, book: Book) -> None:
    closed = threading.Event()

    def reply(connection: socket.socket) -> None:
        connection.sendall(OPENING + chunk("Hello"))
        connection.settimeout(3)
        with contextlib.suppress(ConnectionError):
            connection.recv(1)
        closed.set()

    provider.answers(reply)
    with wire.clients() as http:
        events = run(Plan((step(provider),)), PROMPT, http, book, lambda step: "k", Stop(), QUICK)
        assert next(events) == Text("Hello")
        events.close()
        (result,) = book.ended
        assert result.failure is not None
        assert result.failure.kind is Kind.ABORTED
        assert closed.wait(2)


def test_what_breaks_inside_us_is_not_noted_as_a_whole_answer(provider: Provider, book: Book) -> None:
    provider.answers(whole)
    with pytest.raises(ZeroDivisionError):
        ask(book, step(provider), secret=lambda step: str(1 // 0))
    assert book.ended[0].failure is not None


def test_a_refusal_by_the_journal_sends_nothing_and_goes_on_or_stops(provider: Provider, book: Book) -> None:
    provider.answers(whole)
    book.refusals = [Failure(Kind.BILLING, "No money.", sent=False)]
    ask(book, step(provider), step(provider, label="k2"))
    assert provider.keys == ["k2"]
    book.refusals = [Failure(Kind.ABORTED, "Stopped.", sent=False)]
    with pytest.raises(Failure, match="Stopped"):
        ask(book, step(provider), step(provider, "b"))
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("url", "secret", "prompt"),
    [
        (None, "sk-ключ", PROMPT),
        (None, "sk-with\nnewline", PROMPT),
        (None, "k", Prompt((user("half a pair: \ud83d"),))),
        (None, "k", Prompt((user("x"),), tools=(Tool("f", parameters={"x": float("nan")}),))),
        ("http://[::bad/v1", "k", PROMPT),
        ("ftp://127.0.0.1/v1", "k", PROMPT),
        ("http://a b/v1", "k", PROMPT),
    ],
)
def test_what_cannot_be_sent_is_refused_in_words_without_the_key(
    url: str | None, secret: str, prompt: Prompt, provider: Provider, book: Book
) -> None:
    provider.answers(whole)
    failure = failing(book, step(url or provider), prompt=prompt, secret=lambda step: secret)
    assert not failure.sent
    assert secret not in failure.message or secret == "k"
    assert provider.requests == []


def test_a_key_is_in_no_message(provider: Provider, book: Book) -> None:
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz123456"
    provider.answers(says(response(f"Incorrect API key provided: {secret}".encode(), "401 Unauthorized", "text/plain")))
    failure = failing(book, step(provider), secret=lambda step: secret)
    assert secret not in failure.message + str(failure) + repr(failure)
    assert secret not in repr(Call("http://x", {}, {"authorization": secret}))


@pytest.mark.parametrize(
    ("header", "seconds"), [("5", 5), ("-3", 0), ("1.5", 1.5), ("nan", None), ("inf", None), ("soon", None), ("", None)]
)
def test_a_retry_after_is_seconds_or_nothing(header: str, seconds: float | None) -> None:
    assert exchange.retry_after(header) == seconds


def test_an_empty_plan_says_why(book: Book) -> None:
    with pytest.raises(Failure, match="No model"):
        with wire.clients() as http:
            receipt = {"problem": "No model."}
            list(run(Plan((), receipt), PROMPT, http, book, lambda step: "", Stop()))


def test_a_model_kept_for_refused_prompts_is_asked_with_each_of_its_keys(provider: Provider, book: Book) -> None:
    provider.answers(refuses("400 Bad Request", "content_policy_violation"), refuses("401 Unauthorized"), whole)
    kept = [replace(step(provider, "frank", label), only_after=Kind.CONTENT_POLICY) for label in ("k2", "k3")]
    assert text(ask(book, step(provider), *kept)) == "Hello you"
    assert provider.keys == ["k1", "k2", "k3"]


def test_a_fallback_that_is_for_refused_prompts_too_is_asked_after_a_refusal_and_the_others_are_not(
    provider: Provider, book: Book
) -> None:
    provider.answers(refuses("400 Bad Request", "content_policy_violation"))
    both = [replace(step(provider, "both", label), also_after=frozenset({Kind.CONTENT_POLICY})) for label in "ab"]
    assert failing(book, step(provider), step(provider, "next", "k2"), *both).kind is Kind.CONTENT_POLICY
    assert provider.keys == ["k1", "a"]


def test_a_fallback_that_is_for_long_prompts_too_comes_first_after_one_and_only_once(
    provider: Provider, book: Book
) -> None:
    too_long, down = refuses("400 Bad Request", "context_length_exceeded"), refuses("500 Internal Server Error")
    both = replace(step(provider, "both", "k3"), also_after=frozenset({Kind.CONTEXT_TOO_LONG}))
    steps = step(provider), step(provider, "next", "k2"), both
    provider.answers(too_long, down, whole)
    assert text(ask(book, *steps)) == "Hello you"
    assert provider.keys == ["k1", "k3", "k2"]
    provider.answers(down, down, whole)
    assert text(ask(book, *steps)) == "Hello you"
    assert provider.keys[3:] == ["k1", "k2", "k3"]


def test_the_second_model_kept_for_refused_prompts_is_asked_when_the_first_is_down(
    provider: Provider, book: Book
) -> None:
    down = refuses("503 Service Unavailable")
    provider.answers(refuses("400 Bad Request", "content_policy_violation"), down, down, down, whole)
    kept = [replace(step(provider, name, name), only_after=Kind.CONTENT_POLICY) for name in ("frank", "blunt")]
    assert text(ask(book, step(provider), *kept)) == "Hello you"
    assert provider.keys[-1] == "blunt"


def test_a_model_kept_for_another_kind_of_failure_is_no_reason_not_to_wait_for_a_rate(
    provider: Provider, book: Book
) -> None:
    provider.answers(refuses("429 Too Many Requests", "", "retry-after: 0"), whole)
    kept = replace(step(provider, "frank", "k2"), only_after=Kind.CONTENT_POLICY)
    assert text(ask(book, step(provider), kept)) == "Hello you"
    assert provider.keys == ["k1", "k1"]


def test_a_rest_is_waited_for_once_and_told(provider: Provider, book: Book) -> None:
    provider.answers(refuses("503 Service Unavailable"), refuses("401 Unauthorized"), whole)
    tired = [replace(step(provider, label=label), wait=0.4) for label in ("k1", "k2")]
    started = time.monotonic()
    events = ask(book, *tired)
    assert 0.4 <= time.monotonic() - started < 0.8
    assert events[0] == Progress(note="waiting until P / m has rested")
    assert text(events) == "Hello you"
    assert provider.keys == ["k1", "k1", "k2"]


def test_a_model_that_openai_answers_for_in_its_newer_format_only_is_asked_in_that(
    provider: Provider, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "RESPONSES_HOSTS", ("127.0.0.1",))
    said = {"status": "completed", "output": [{"type": "message", "content": [{"type": "output_text", "text": "Yes"}]}]}
    provider.answers(says(response(json.dumps(said).encode())))
    events = ask(book, step(provider, "gpt-5.5-pro"), prompt=replace(PROMPT, stream=False))
    assert "".join(event.delta for event in events if isinstance(event, Text)) == "Yes"
    assert provider.requests[0].startswith("POST /v1/responses ")
    provider.answers(whole)
    ask(book, step(provider, "gpt-5.5"))
    assert provider.requests[1].startswith("POST /v1/chat/completions ")


def test_words_that_came_at_once_go_on_as_one_and_know_their_pieces() -> None:
    likely = Text("d", ({"token": "d", "top_logprobs": []},))

    def events() -> Iterator[Event]:
        yield from (Text("a"), Text("b"), Usage(1), Text("c"), likely, Refusal("no"), Text("e"), Text("f"))
        raise Failure(Kind.TRANSIENT, "cut")

    said = list[Event]()
    with pytest.raises(Failure, match="cut"):
        for event in running.joined(events()):
            said.append(event)
    assert said == [Text("ab"), Usage(1), Text("c"), likely, Refusal("no"), Text("ef")]
    assert [event.pieces for event in said if isinstance(event, Text)] == [("a", "b"), (), (), (), ("e", "f")]
