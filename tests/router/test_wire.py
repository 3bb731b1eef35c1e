"""The client itself: whom it trusts, what it takes from its surroundings, and when it gives up."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dataelan_web.router import wire
from dataelan_web.router.exchange import ask, fetch
from dataelan_web.router.plan import Plan
from dataelan_web.router.providers.failures import failure as failure_of
from dataelan_web.router.run import run
from dataelan_web.router.stop import Stop
from dataelan_web.router.types import AssetAt, Call, Failure, Kind, Message, Prompt, TextPart
from dataelan_web.router.wire import Clients, Deadlines

from .test_addresses import KEY, leads_to, line, port_of, resolves
from .test_run import OPENING, PROMPT, Book, Provider, chunk, refuses, response, says, step, streams

LISTED = response(b'{"object":"list","data":[]}')


@pytest.fixture
def elsewhere() -> Iterator[Provider]:
    """Where the surroundings would have the requests go."""
    made = Provider()
    made.answers(refuses("500 No"))
    yield made
    assert made.requests == []
    made.close()


# -- a name, its address and its certificate -----------------------------------------------------


class Secure:
    """A server with a certificate of its own making, for these names. Notes the name it was asked for in TLS."""

    def __init__(self, folder: Path, *names: str):
        self.certificate = folder / "certificate.pem"
        _issue(self.certificate, names)
        self.asked_for: list[str | None] = []
        self.requests: list[bytes] = []
        self.reply: Callable[[bytes], bytes] = lambda request: LISTED
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate)
        self._context.sni_callback = lambda _socket, name, _context: self.asked_for.append(name)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(connection, server_side=True) as line:
                    self.requests.append(line.recv(65536))
                    line.sendall(self.reply(self.requests[-1]))
            except OSError:
                connection.close()


def _issue(path: Path, names: tuple[str, ...]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    today = datetime.datetime.now(datetime.UTC)
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Secure]:
    made = Secure(tmp_path, "models.example.com", "cdn.example.com")
    yield made
    made.close()


def trust(http: Clients, secure: Secure) -> None:
    """By these clients only: what is trusted otherwise is one for the whole process."""
    for client in (http.anywhere, http.public):
        context = ssl.create_default_context(cafile=str(secure.certificate))
        client.reach = replace(client.reach, context=context)


def test_the_connection_goes_to_the_address_and_the_certificate_is_for_the_name(
    http: Clients, secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(http, secure)
    resolves(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    wanted = leads_to(monkeypatch, secure.port)
    ask(http.public, Call("https://models.example.com/v1/models", headers=KEY, method="GET"), failure_of)
    assert wanted == [("93.184.216.34", 443)]
    assert secure.asked_for == ["models.example.com"]
    assert b"host: models.example.com\r\n" in secure.requests[0].lower()


def test_a_certificate_for_another_name_is_not_taken(
    http: Clients, secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(http, secure)
    resolves(monkeypatch, ["93.184.216.34"])
    leads_to(monkeypatch, secure.port)
    for client in (http.anywhere, http.public):
        with pytest.raises(Failure, match="cannot be reached"):
            ask(client, Call("https://other.example.com/v1/models", headers=KEY, method="GET"), failure_of)
    assert secure.requests == []


@pytest.fixture
def apart(http: Clients, secure: Secure, monkeypatch: pytest.MonkeyPatch) -> Secure:
    """A provider at models.example.com that keeps its files at cdn.example.com."""
    trust(http, secure)
    resolves(monkeypatch, ["93.184.216.34"])
    leads_to(monkeypatch, secure.port)
    return secure


def redirect(location: str) -> bytes:
    return response(b"", "302 Found", "text/plain", f"location: {location}")


def test_a_redirect_elsewhere_takes_no_key_along(http: Clients, apart: Secure) -> None:
    film = response(b"film", type="video/mp4")
    apart.reply = lambda request: film if b"cdn.example" in request else redirect("https://cdn.example.com/film")
    at = AssetAt("https://models.example.com/v1/files/1")
    for is_trusted in (True, False):
        apart.requests.clear()
        at_home = line(http, "https://models.example.com/v1", is_trusted=is_trusted)
        assert fetch(at_home, at, KEY, failure_of).content == b"film"
        assert [b"sk-CANARY" in request for request in apart.requests] == [True, False]
    direct = AssetAt("https://cdn.example.com/film", note="a cat")
    assert fetch(at_home, direct, KEY, failure_of).note == "a cat"
    assert b"sk-CANARY" not in apart.requests[-1]


def test_nobody_elsewhere_can_send_our_key_back_home(http: Clients, apart: Secure) -> None:
    """What a stranger names at the provider is asked for as a stranger would."""
    home = "https://models.example.com/v1/account"
    apart.reply = lambda request: redirect(home) if b"cdn.example" in request else response(b"{}")
    at_home = line(http, "https://models.example.com/v1", is_trusted=True)
    fetch(at_home, AssetAt("https://cdn.example.com/film"), KEY, failure_of)
    assert b"GET /v1/account" in apart.requests[1]
    assert not any(b"sk-CANARY" in request for request in apart.requests)


def test_nobody_elsewhere_can_send_us_inside(http: Clients, apart: Secure, provider: Provider) -> None:
    """Not even to the provider itself, where that is a private one the operator trusts."""
    apart.reply = lambda request: redirect(f"{provider.url}/internal")
    with pytest.raises(Failure, match="could not be followed"):
        at_home = line(http, provider.url, is_trusted=True)
        fetch(at_home, AssetAt("https://cdn.example.com/film"), KEY, failure_of)
    assert len(apart.requests) == 1
    assert provider.requests == []


# -- the surroundings ----------------------------------------------------------------------------


def test_proxies_and_netrc_of_the_environment_are_not_used(
    provider: Provider, elsewhere: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = elsewhere.url.removesuffix("/v1")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
        monkeypatch.setenv(name.upper(), proxy)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "nothing.example.com")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ambient password sk-ambient\ndefault login ambient password sk-ambient\n")
    netrc.chmod(0o600)
    (tmp_path / ".netrc").write_bytes(netrc.read_bytes())
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    leads_to(monkeypatch, port_of(provider))
    resolves(monkeypatch, ["93.184.216.34"])
    with wire.clients() as http:
        list(run(Plan((step(provider),)), PROMPT, http, Book(), lambda step: "k1", Stop()))
        provider.answers(says(LISTED))
        for client, url in ((http.anywhere, provider.url), (http.public, "http://models.example.com/v1")):
            ask(client, Call(f"{url}/models", method="GET"), failure_of)
            ask(client, Call(f"{url}/models", headers=KEY, method="GET"), failure_of)
    assert len(provider.requests) == 5
    assert all(request.startswith(("POST /v1/", "GET /v1/")) for request in provider.requests)  # not as to a proxy
    authorized = ["authorization" in request.lower() for request in provider.requests]
    assert authorized == [True, False, True, False, True]
    assert "ambient" not in "".join(provider.requests)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_certificate_that_the_environment_names_is_not_trusted(
    name: str, secure: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = secure.certificate.parent if name == "SSL_CERT_DIR" else secure.certificate
    monkeypatch.setenv(name, str(place))
    resolves(monkeypatch, ["93.184.216.34"])
    leads_to(monkeypatch, secure.port)
    with wire.clients() as http:
        for client in (http.anywhere, http.public):
            with pytest.raises(Failure, match="cannot be reached"):
                ask(client, Call("https://models.example.com/v1/models", method="GET"), failure_of)
    assert secure.requests == []


def test_an_unusable_proxy_or_certificate_in_the_environment_keeps_nothing_from_starting(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ALL_PROXY": "nonsense://x", "SSL_CERT_FILE": "/none", "SSL_CERT_DIR": "/none"}.items():
        monkeypatch.setenv(name, value)
    with wire.clients() as http:
        assert list(run(Plan((step(provider),)), PROMPT, http, Book(), lambda step: "k1", Stop()))


def test_a_cookie_of_one_answer_is_in_no_other_request(http: Clients, provider: Provider) -> None:
    """One client serves all tenants: what a provider tells one of them, it must not hear from another."""
    cookie = LISTED.replace(
        b"\r\n\r\n", b"\r\nset-cookie: tenant=a; Path=/\r\nset-cookie: b=c; Domain=127.0.0.1\r\n\r\n"
    )
    provider.answers(says(cookie))
    for client in (http.anywhere, http.anywhere):
        ask(client, Call(f"{provider.url}/models", method="GET"), failure_of)
    assert not any("cookie" in request.lower() for request in provider.requests)


# -- deadlines -----------------------------------------------------------------------------------


def ends(provider: Provider, deadlines: Deadlines, prompt: Prompt = PROMPT) -> tuple[Failure, float]:
    """The failure of one attempt, and how many seconds it took."""
    started = time.monotonic()
    with wire.clients() as http, pytest.raises(Failure) as caught:
        list(run(Plan((step(provider),)), prompt, http, Book(), lambda step: "k", Stop(), deadlines))
    return caught.value, time.monotonic() - started


def test_a_silence_that_begins_just_before_the_end_does_not_outlast_it(provider: Provider) -> None:
    provider.answers(streams(chunk("a"), chunk("b"), pause=0.4, then=5))
    failure, seconds = ends(provider, Deadlines(idle=4, total=1))
    assert "longer than 1 seconds" in failure.message
    assert 0.9 < seconds < 1.5


def test_a_head_that_comes_byte_by_byte_does_not_outlast_the_end(provider: Provider) -> None:
    def drips(connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nx-y: " + b"z" * 1000:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)

    provider.answers(drips)
    failure, seconds = ends(provider, Deadlines(first_byte=0.5, idle=0.5, total=1))
    assert failure.kind is Kind.TRANSIENT
    assert seconds < 1.5


@pytest.mark.parametrize("endless", [b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", b"x: y\r\n", b"\r\n"])
def test_a_head_without_an_end_does_not_outlast_the_end(endless: bytes, provider: Provider) -> None:
    def pours(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" if endless == b"x: y\r\n" else b"")
        while True:
            connection.sendall(endless * 1000)

    provider.answers(pours)
    failure, seconds = ends(provider, Deadlines(total=1))
    assert failure.kind is Kind.TRANSIENT
    assert seconds < 2


def test_a_request_that_is_taken_too_slowly_does_not_outlast_the_end(provider: Provider) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen()

    def sips() -> None:
        connection, _ = listener.accept()
        with connection:
            for _ in range(100):
                if not connection.recv(1000):
                    return
                time.sleep(0.05)

    threading.Thread(target=sips, daemon=True).start()
    provider.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    large = Message("user", (TextPart("x" * 20_000_000),))
    failure, seconds = ends(provider, Deadlines(first_byte=0.5, total=1), Prompt((large,)))
    assert failure.kind is Kind.TRANSIENT
    assert seconds < 2
    listener.close()


@pytest.mark.parametrize("pause", [0.1, 0.001])
def test_a_short_question_ends_in_its_time_however_slowly_it_is_answered(
    http: Clients, provider: Provider, pause: float
) -> None:
    """What has come by then, to the last moment too, is not taken for the whole."""

    def drips(connection: socket.socket) -> None:
        connection.sendall(OPENING)
        for _ in range(round(10 / pause)):
            connection.sendall(b"x")
            time.sleep(pause)

    provider.answers(drips)
    started = time.monotonic()
    with pytest.raises(Failure, match="did not answer in time"):
        ask(http.anywhere, Call(f"{provider.url}/models", method="GET"), failure_of, seconds=0.5)
    assert time.monotonic() - started < 1
