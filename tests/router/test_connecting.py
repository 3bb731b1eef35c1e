"""Before a request is sent: a name, a connection, TLS, a place in a pool. None of them outlasts the call's time, nor
goes on once it is stopped; and what hangs for one hangs for nobody else."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from dataelan_web.router import reaching, wire
from dataelan_web.router.exchange import ask
from dataelan_web.router.lookup import Crowded, Late, LookUps, family
from dataelan_web.router.plan import Plan
from dataelan_web.router.providers.failures import failure as failure_of
from dataelan_web.router.run import run
from dataelan_web.router.stop import Stop
from dataelan_web.router.types import OUR_OWN, Call, Failure, Kind
from dataelan_web.router.wire import Clients, Deadlines

from ..connections import swallowing
from .test_addresses import leads_to, port_of, resolves
from .test_run import PROMPT, Book, Provider, says, silence, step
from .test_wire import LISTED

Phase = Callable[[pytest.MonkeyPatch], AbstractContextManager[str]]
LONG = Deadlines(connect=30, total=30)


@pytest.fixture(autouse=True)
def lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each test its own: what hangs in one is not waited for in the next."""
    monkeypatch.setattr(reaching, "lookups", LookUps())


class Resolver:
    """The system's, but for names of example.com: those are found at 127.0.0.1, once they are let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.asked: list[str] = []
        self.hangs = threading.Event()
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: str, port: int, *arguments: Any, **options: Any) -> list[Any]:
        if not host.endswith("example.com"):
            return self._real(host, port, *arguments, **options)
        self.asked.append(host)
        self.hangs.wait(20)
        if "unknown" in host:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver(monkeypatch)
    yield made
    made.hangs.set()


@contextmanager
def no_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address whose name is never found."""
    resolver = Resolver(monkeypatch)
    yield "http://models.example.com/v1"
    resolver.hangs.set()


@contextmanager
def no_listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with swallowing() as port:
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def no_hello(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"


@contextmanager
def half_a_hello(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """… or a byte now and then, each of which would begin a timeout anew."""

    def drips(connection: socket.socket) -> None:
        connection.sendall(b"\x16\x03\x03\x40\x00")
        while True:
            connection.sendall(b"\x02\x00\x3f\xfc")
            time.sleep(0.1)

    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            drips(listener.accept()[0])
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
    listener.close()


@contextmanager
def no_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A client whose only connection is in use."""
    provider = Provider()
    provider.answers(silence)
    real = wire.clients

    def clients() -> Clients:
        one = real(connections=1)
        assert one.anywhere._taken(("http", b"127.0.0.1", port_of(provider)), math.inf, None) is None
        return one

    monkeypatch.setattr(wire, "clients", clients)
    yield provider.url
    provider.close()


PHASES: list[Phase] = [no_resolver, no_listener, no_hello, half_a_hello, no_place]


def call(url: str, deadlines: Deadlines, stop: Stop) -> tuple[Failure, float]:
    """(how it failed, seconds)"""
    started = time.monotonic()
    with wire.clients() as http, pytest.raises(Failure) as caught:
        list(run(Plan((step(url),)), PROMPT, http, Book(), lambda step: "k", stop, deadlines))
    return caught.value, time.monotonic() - started


@pytest.mark.parametrize("phase", PHASES)
def test_no_phase_before_the_request_outlasts_the_call(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    with phase(monkeypatch) as url:
        failure, seconds = call(url, Deadlines(connect=30, total=0.3), Stop())
    assert (failure.kind, failure.sent) == (Kind.TRANSIENT, False)
    assert seconds < 1.3


@pytest.mark.parametrize("phase", PHASES)
def test_a_stop_ends_each_phase_before_the_request(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    with phase(monkeypatch) as url:
        threading.Timer(0.2, stop.request).start()
        failure, seconds = call(url, LONG, stop)
    assert (failure.kind, failure.sent) == (Kind.ABORTED, False)
    assert seconds < 1.2


@pytest.mark.parametrize("phase", [no_listener, no_hello])
def test_a_connection_and_its_tls_share_one_deadline(phase: Phase, monkeypatch: pytest.MonkeyPatch) -> None:
    with phase(monkeypatch) as url, wire.clients() as http:
        monkeypatch.setattr("dataelan_web.router.exchange.Deadlines", lambda **options: Deadlines(connect=0.5))
        started = time.monotonic()
        with pytest.raises(Failure, match="did not accept a connection in time"):
            ask(http.anywhere, Call(f"{url}/models", method="GET"), failure_of)
        assert 0.4 < time.monotonic() - started < 1.2


def test_a_short_question_does_not_wait_for_a_name_beyond_its_time(resolver: Resolver, http: Clients) -> None:
    started = time.monotonic()
    with pytest.raises(Failure, match="its name could not be looked up in time") as caught:
        ask(http.anywhere, Call("http://models.example.com/v1/models", method="GET"), failure_of, seconds=0.5)
    assert not caught.value.sent
    assert time.monotonic() - started < 1.5


# -- many who look up names --------------------------------------------------------------------------


def test_all_who_ask_for_a_name_wait_for_one_look_up(
    resolver: Resolver, http: Clients, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to(monkeypatch, port_of(provider))
    provider.answers(says(LISTED))
    answers = []
    one = Call("http://models.example.com/v1/models", method="GET")
    threads = [threading.Thread(target=lambda: answers.append(ask(http.anywhere, one, failure_of))) for _ in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    resolver.hangs.set()
    for thread in threads:
        thread.join(5)
    assert len(answers) == 20
    assert resolver.asked == ["models.example.com"]


def test_a_name_that_is_unknown_is_told_to_each_who_asked(resolver: Resolver) -> None:
    lookups, told = LookUps(), []

    def look() -> None:
        try:
            lookups.addresses("unknown.example.com", 80)
        except OSError as error:
            told.append(error)

    threads = [threading.Thread(target=look) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    resolver.hangs.set()
    for thread in threads:
        thread.join(5)
    assert len({id(error) for error in told}) == 5
    assert {error.args for error in told} == {(socket.EAI_NONAME, "Name or service not known")}


def hang(lookups: LookUps, *hosts: str) -> None:
    for host in hosts:
        with pytest.raises(Late):
            lookups.addresses(host, 443, time.monotonic() + 0.01)


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Names that begin with `slow` hang; all others are found at once."""
    freed = threading.Event()

    def answer(host: str, port: int, **options: Any) -> list[Any]:
        if host.startswith("slow"):
            freed.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    yield
    freed.set()


def test_names_of_one_owner_that_hang_leave_room_for_all_others(hostile: None) -> None:
    lookups, before = LookUps(most=10, most_unknown=8, most_alike=3), threading.active_count()
    hang(lookups, *(f"slow{n}.evil.example" for n in range(50)))
    with pytest.raises(Crowded):
        lookups.addresses("quick.evil.example", 443, time.monotonic() + 0.05)
    assert lookups.addresses("api.other.example", 443, time.monotonic() + 1) == ["93.184.216.34"]
    assert threading.active_count() < before + 20


def test_many_names_that_hang_leave_room_for_those_that_are_in_use(hostile: None) -> None:
    lookups = LookUps(most=10, most_unknown=8, most_alike=3)
    assert lookups.addresses("api.known.example", 443)
    hang(lookups, *(f"slow.evil{n}.example" for n in range(50)))
    with pytest.raises(Crowded):
        lookups.addresses("api.new.example", 443, time.monotonic() + 0.05)
    assert lookups.addresses("api.known.example", 443, time.monotonic() + 1) == ["93.184.216.34"]


def test_who_finds_no_room_waits_for_some(resolver: Resolver) -> None:
    lookups = LookUps(most=1, most_unknown=1)
    hang(lookups, "slow.example.com")
    threading.Timer(0.2, resolver.hangs.set).start()
    assert lookups.addresses("next.example.com", 80, time.monotonic() + 5) == ["127.0.0.1"]
    assert resolver.asked == ["slow.example.com", "next.example.com"]


def test_too_many_look_ups_are_our_own_failure(hostile: None, http: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    lookups = LookUps(most=1, most_unknown=1)
    hang(lookups, "slow.example.com")
    monkeypatch.setattr(reaching, "lookups", lookups)
    with pytest.raises(Failure) as caught:
        ask(http.anywhere, Call("https://next.example.com/v1", method="GET"), failure_of, seconds=0.3)
    assert (caught.value.kind, caught.value.code, caught.value.sent) == (Kind.TRANSIENT, OUR_OWN, False)


def test_an_address_needs_no_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups = LookUps(most=0)
    resolves(monkeypatch, ["93.184.216.34"])
    assert lookups.addresses("127.0.0.1", 80) == ["127.0.0.1"]
    assert lookups.addresses("::1", 80) == ["::1"]
    with pytest.raises(Crowded):
        lookups.addresses("models.example.com", 80, time.monotonic())


def test_a_family_is_told_by_the_last_two_labels() -> None:
    assert {family((name, 1)) for name in ("a.Evil.com", "b.c.evil.com.", "evil.com")} == {"evil.com"}
