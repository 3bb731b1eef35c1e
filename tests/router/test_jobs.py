"""Polled jobs over a real wire: a provider on loopback that makes pictures as Replicate does."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dataelan_web.router import run as running
from dataelan_web.router import wire
from dataelan_web.router.candidates import Candidate, Key
from dataelan_web.router.plan import Plan, Step
from dataelan_web.router.providers import replicate
from dataelan_web.router.reaching import Reach
from dataelan_web.router.rules import Rule
from dataelan_web.router.run import Job, Result, run
from dataelan_web.router.stop import Stop
from dataelan_web.router.types import (
    Again,
    Asset,
    Call,
    Done,
    Event,
    Failure,
    Fate,
    Kind,
    Progress,
    Prompt,
    Task,
    Usage,
)
from dataelan_web.router.wire import Client, Clients, Deadlines

from .drawing import PICTURE, PNG, drawing

# -- a provider ------------------------------------------------------------------------------------


@dataclass
class Server:
    """Plays one answer a request of a path, the last again and again: a document, bytes, a status, or half a body."""

    url: str
    answers: dict[str, list[Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    """Method, path, key and body."""
    slow: float = 0.0
    """Seconds before it answers a GET."""

    def asked(self, method: str, path: str) -> int:
        return sum((method, path) == request[:2] for request in self.requests)

    def states(self, *states: dict[str, Any]) -> None:
        """What the job says at each question."""
        self.answers["/v1/predictions/j1"] = [{"id": "j1"} | state for state in states]


def soon_after_it_was_asked(provider: Server, act: Callable[[], None], seconds: float = 0.3) -> None:
    """When the job is there and was asked after, however long that takes on a busy machine."""

    def wait() -> None:
        while not provider.asked("GET", "/v1/predictions/j1"):
            time.sleep(0.01)
        time.sleep(seconds)
        act()

    threading.Thread(target=wait, daemon=True).start()


def serving(context: ssl.SSLContext | None = None) -> tuple[Server, ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            made.requests.append((self.command, self.path, self.headers.get("Authorization") or "", body))
            time.sleep(made.slow if self.command == "GET" else 0)
            left = made.answers.get(self.path, [404])
            said = left.pop(0) if len(left) > 1 else left[0]
            status = said if isinstance(said, int) else 200
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            file = "application/octet-stream" if self.path.endswith(".bin") else "image/png"
            self.send_header("Content-Type", "application/json" if content[:1] == b"{" else file)
            self.send_header("Content-Length", str(len(content) + 10 * (content == HALF)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made = Server(f"http{'s' if context else ''}://127.0.0.1:{server.server_port}/v1")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return made, server


HALF = b'{"id": "j1", "status": "succeeded", "output": '


@pytest.fixture
def provider() -> Iterator[Server]:
    made, server = serving()
    made.answers["/v1/models/ada/paint/predictions"] = [{"id": "j1", "status": "starting"}]
    made.answers["/v1/predictions/j1/cancel"] = [{"id": "j1", "status": "canceled"}]
    made.answers["/v1/files/out.png"] = [PNG]
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicate.ReplicateImages, "poll", 0.0)
    monkeypatch.setattr(running, "SHORTEST_POLL", 0.02)
    monkeypatch.setattr(running, "ASKS_AGAIN", 0.02)


# -- who asks --------------------------------------------------------------------------------------


@dataclass
class Book:
    """The journal, kept in memory."""

    leaves_out: ClassVar[frozenset[str]] = frozenset()
    begun: int = 0
    ended: list[Result] = field(default_factory=list)
    waits: list[tuple[int, Again]] = field(default_factory=list)

    def begin(self, step: Step, number: int, prompt: Prompt) -> Prompt:
        self.begun += 1
        return prompt

    def waiting(self, step: Step, number: int, again: Again) -> None:
        self.waits.append((number, again))

    def end(self, step: Step, number: int, result: Result) -> None:
        self.ended.append(result)


def step(provider: Server, kind: str = "replicate", model: str = "ada/paint") -> Step:
    candidate = Candidate(uuid4(), model, uuid4(), "P", kind, provider.url, (), task=Task.IMAGE)
    return Step(candidate, Key(uuid4(), "k1", "organization"))


def ask(
    book: Book, *steps: Step, http: Clients | None = None, rule: Rule | None = None, **options: Any
) -> list[Event]:  # fmt: skip
    options = {"prompt": drawing(), "stop": Stop(), "deadlines": Deadlines(1, 2, 2, 20)} | options
    with http or wire.clients() as clients:
        return list(run(Plan(steps, rule=rule), http=clients, journal=book, secret=lambda step: "r8_secret", **options))


def succeeded(*files: str) -> dict[str, Any]:
    return {"status": "succeeded", "output": list(files)}


# -- tests -----------------------------------------------------------------------------------------


def test_a_job_shows_its_progress_and_its_file_is_fetched_with_the_key(provider: Server) -> None:
    provider.states(
        {"status": "processing", "logs": " 50%|#####     | 25/50"}, succeeded(f"{provider.url}/files/out.png")
    )
    book = Book()
    events = ask(book, step(provider))
    assert events[:3] == [Progress(None, "starting"), Progress(0.5, "processing"), Asset("image/png", PNG)]
    assert isinstance(events[-1], Done)
    assert {request[2] for request in provider.requests} == {"Bearer r8_secret"}
    (result,) = book.ended
    assert (result.failure, result.visible, result.usage) == (None, True, Usage(images=1))
    assert [number for number, _ in book.waits] == [1, 1]


def test_a_file_is_what_its_first_bytes_say_where_nobody_else_knows(provider: Server) -> None:
    """Stores of files call much of what they keep application/octet-stream, and some a JPEG a PNG."""
    provider.answers |= {"/v1/files/out.bin": [PNG], "/v1/files/out.jpg": [PNG]}
    provider.states(succeeded(f"{provider.url}/files/out.bin", f"{provider.url}/files/out.jpg"))
    made = [event for event in ask(Book(), step(provider)) if isinstance(event, Asset)]
    assert made == [Asset("image/png", PNG)] * 2


def test_a_file_at_another_origin_is_fetched_without_the_key(provider: Server, tmp_path: Path) -> None:
    elsewhere, server = serving(certified(tmp_path))
    elsewhere.answers["/v1/out.png"] = [PNG]
    provider.states(succeeded(f"{elsewhere.url}/out.png"))
    trusting = Client(Reach(ssl.create_default_context(cafile=tmp_path / "cert.pem")))
    try:
        events = ask(Book(), step(provider), http=Clients(trusting, trusting))
    finally:
        server.shutdown()
        server.server_close()
    assert Asset("image/png", PNG) in events
    assert [request[:3] for request in elsewhere.requests] == [("GET", "/v1/out.png", "")]


def test_a_file_at_a_private_address_is_not_fetched(provider: Server) -> None:
    elsewhere, server = serving()
    provider.states(succeeded(f"{elsewhere.url}/out.png"))
    with pytest.raises(Failure, match="could not be followed"):
        ask(Book(), step(provider))
    server.shutdown()
    server.server_close()
    assert elsewhere.requests == []
    assert provider.asked("POST", "/v1/models/ada/paint/predictions") == 1, "and the picture is not paid for twice"


def test_a_stop_cancels_the_job_at_the_provider(provider: Server) -> None:
    provider.states({"status": "processing"})
    stop, book = Stop(), Book()
    soon_after_it_was_asked(provider, stop.request)
    with pytest.raises(Failure, match="Stopped"):
        ask(book, step(provider), stop=stop)
    assert ("POST", "/v1/predictions/j1/cancel", "Bearer r8_secret", b"") in provider.requests
    assert book.ended[0].failure is not None
    assert book.ended[0].failure.kind is Kind.ABORTED


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.1])
def test_a_stop_cancels_the_job_even_while_it_is_being_asked_after(provider: Server, moment: float) -> None:
    provider.states({"status": "processing"})
    provider.slow = 0.2
    stop = Stop()
    soon_after_it_was_asked(provider, stop.request, moment)
    with pytest.raises(Failure, match="Stopped"):
        ask(Book(), step(provider), stop=stop)
    assert provider.asked("POST", "/v1/predictions/j1/cancel") == 1


def test_a_run_that_is_another_workers_now_leaves_the_job_alone(provider: Server) -> None:
    provider.states({"status": "processing"})
    stop = Stop()
    soon_after_it_was_asked(provider, stop.lose)
    with pytest.raises(Failure, match="Stopped"):
        ask(Book(), step(provider), stop=stop)
    assert provider.asked("POST", "/v1/predictions/j1/cancel") == 0


def test_a_job_that_takes_too_long_is_cancelled(provider: Server) -> None:
    provider.states({"status": "processing"})
    started = time.monotonic()
    with pytest.raises(Failure):
        ask(Book(), step(provider), deadlines=Deadlines(1, 1, 1, 0.5))
    assert time.monotonic() - started < 2
    assert provider.asked("POST", "/v1/predictions/j1/cancel") == 1


def test_another_worker_takes_a_job_over_where_it_stands(provider: Server) -> None:
    provider.states({"status": "processing"}, succeeded(f"{provider.url}/files/out.png"))
    book = Book()
    again = Again(Call(f"{provider.url}/predictions/j1", method="GET"))
    events = ask(book, job=Job(step(provider), 3, again))
    assert Asset("image/png", PNG) in events
    assert provider.asked("POST", "/v1/models/ada/paint/predictions") == 0
    assert {request[2] for request in provider.requests} == {"Bearer r8_secret"}
    assert (book.begun, len(book.ended)) == (0, 1)
    assert {number for number, _ in book.waits} == {3}


def test_a_question_that_fails_is_asked_again_and_the_job_is_not_begun_anew(provider: Server) -> None:
    provider.states({}, {}, succeeded(f"{provider.url}/files/out.png"))
    provider.answers["/v1/predictions/j1"][:2] = [503, HALF]
    assert Asset("image/png", PNG) in ask(Book(), step(provider))
    assert provider.asked("POST", "/v1/models/ada/paint/predictions") == 1


def test_a_job_that_cannot_be_asked_after_is_made_nowhere_else_unless_a_rule_says_so(
    provider: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "POLL_RETRIES", 1)
    provider.answers["/v1/predictions/j1"] = [503]
    provider.answers["/v1/images/generations"] = [{"data": [{"url": f"{provider.url}/files/out.png"}]}]
    steps = step(provider), step(provider, "openai", "other")
    with pytest.raises(Failure) as caught:
        ask(Book(), *steps)
    assert (caught.value.fate, provider.asked("POST", "/v1/images/generations")) == (Fate.UNKNOWN, 0)
    book = Book()
    assert Asset("image/png", PNG) in ask(book, *steps, rule=Rule("quick", (), goes_on_unheard=True))
    assert provider.asked("POST", "/v1/models/ada/paint/predictions") == 2
    assert (book.begun, len(book.ended)) == (2, 2)


def test_a_file_that_does_not_arrive_is_fetched_again_and_not_made_anew(provider: Server) -> None:
    provider.states(succeeded(f"{provider.url}/files/out.png"))
    provider.answers["/v1/files/out.png"] = [503, PNG]
    assert Asset("image/png", PNG) in ask(Book(), step(provider), step(provider, "openai", "other"))
    assert provider.asked("POST", "/v1/models/ada/paint/predictions") == 1


def test_a_job_that_cannot_be_taken_over_was_begun_all_the_same(provider: Server) -> None:
    book, again = Book(), Again(Call(f"{provider.url}/predictions/j1", method="GET"))
    with pytest.raises(Failure):
        ask(book, job=Job(step(provider, "gone"), 1, again))
    assert book.ended[0].failure is not None
    assert book.ended[0].failure.sent


def test_a_job_that_was_taken_over_and_failed_is_not_begun_anew_with_the_same_key(provider: Server) -> None:
    provider.answers["/v1/predictions/j1"] = [401]
    same, book = step(provider), Book()
    again = Again(Call(f"{provider.url}/predictions/j1", method="GET"))
    with pytest.raises(Failure):
        ask(book, same, job=Job(same, 1, again))
    assert provider.asked("POST", "/v1/models/ada/paint/predictions") == 0


def test_a_failed_job_is_neither_asked_after_nor_begun_again(provider: Server) -> None:
    provider.states({"status": "failed", "error": "CUDA out of memory"})
    with pytest.raises(Failure, match="CUDA out of memory") as caught:
        ask(Book(), step(provider))
    assert caught.value.code == "job_failed"
    assert provider.asked("GET", "/v1/predictions/j1") == 1
    assert provider.asked("POST", "/v1/models/ada/paint/predictions") == 1


def test_a_picture_to_work_from_arrives_as_a_form(provider: Server) -> None:
    provider.answers["/v1/images/edits"] = [{"data": [{"url": f"{provider.url}/files/out.png"}]}]
    events = ask(Book(), step(provider, "openai", "paint"), prompt=drawing("Bluer", PICTURE, count=1))
    assert events[0] == Asset("image/png", PNG)
    form = provider.requests[0][3]
    assert b'name="image"; filename="picture-1.png"\r\nContent-Type: image/png\r\n\r\n' + PNG in form
    assert b'name="prompt"\r\n\r\nBluer' in form


def certified(folder: Path) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate of its own for this machine, kept in cert.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
