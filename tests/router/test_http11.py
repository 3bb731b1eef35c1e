"""One connection after the other and one answer after the other on it: what is an answer, where it ends, and which
connections the next call may have."""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx2
import pytest

from dataelan_web.router import http11, wire
from dataelan_web.router.http11 import Answer, Connection
from dataelan_web.router.requests import request_of
from dataelan_web.router.types import Call, Upload
from dataelan_web.router.wire import Client, Clients, Deadlines

TEN = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
QUICK = Deadlines(connect=2, first_byte=2, idle=2)


class Server:
    """Says the next of its answers to each request, on whichever connection it comes; b"" closes that."""

    def __init__(self) -> None:
        self.answers: list[bytes] = [TEN]
        self.connections, self.heads = 0, list[bytes]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with line, suppress(OSError):
            while asked := line.recv(1024 * 1024):
                self.heads.append(asked)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                for part in answer.split(b"|"):
                    line.sendall(part)
                    time.sleep(0.02)
                if answer.endswith(b"|"):
                    return


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def client(http: Clients) -> Client:
    return http.anywhere


def ask(client: Client, server: Server, headers: dict[str, str] | None = None) -> Answer:
    request = request_of(Call(server.url, content=b"hello", headers=headers or {}))
    return client.send(request, QUICK, time.monotonic() + 5)


def said(client: Client, server: Server) -> bytes:
    answer = ask(client, server)
    try:
        return b"".join(answer)
    finally:
        answer.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (TEN, b"0123456789"),
        (CHUNKED + b"3\r\nabc\r\n|2;what=ever\r\nde\r\n0\r\ntrailer: yes\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n|HTTP/1.1 100 Continue\r\n\r\n" + TEN, b"0123456789"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.|1 200 O|K\r\ncontent-le|ngth: 2\r\n\r|\nab", b"ab"),
    ],
)
def test_an_answer_is_whole_and_leaves_its_connection(
    answer: bytes, body: bytes, client: Client, server: Server
) -> None:
    server.answers = [answer]
    assert [said(client, server) for _ in range(3)] == [body] * 3
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n01234|56789|",
        TEN.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        TEN.replace(b"/1.1", b"/1.0"),
        TEN + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        TEN + b"anything",
        TEN + b"|HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    ],
)
def test_a_connection_on_which_more_may_come_is_not_used_again(answer: bytes, client: Client, server: Server) -> None:
    server.answers = [answer]
    for _ in range(3):
        assert said(client, server) == b"0123456789"
        time.sleep(0.1)
    assert server.connections == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"|",
        b"HTTP/1.1 200 OK\r\ncontent-|",
        TEN[:-3] + b"|",
        CHUNKED + b"3\r\nabc\r\n|",
        CHUNKED + b"zz\r\nabc\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n012345",
        b"HTTP/1.1 200 OK\r\nbad header: x\r\ncontent-length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_what_is_no_whole_answer_is_none(answer: bytes, client: Client, server: Server) -> None:
    server.answers = [answer]
    for _ in range(2):
        with pytest.raises(httpx2.RemoteProtocolError):
            said(client, server)
    assert server.connections == 2


def test_what_came_at_once_is_one_piece(client: Client, server: Server) -> None:
    server.answers = [CHUNKED + b"1\r\na\r\n" * 100 + b"|1\r\nb\r\n0\r\n\r\n"]
    answer = ask(client, server)
    pieces = list(answer)
    answer.close()
    assert len(pieces) <= 3
    assert b"".join(pieces) == b"a" * 100 + b"b"


def test_headers_are_told_in_small_letters_and_together(client: Client, server: Server) -> None:
    server.answers = [TEN.replace(b"\r\n\r\n", "\r\nX-One: a\r\nX-ONE: b\r\nX-Two: é\r\n\r\n".encode())]
    answer = ask(client, server)
    answer.close()
    assert {name: answer.headers[name] for name in ("x-one", "x-two")} == {"x-one": "a, b", "x-two": "é"}


def test_an_answer_that_is_left_takes_its_connection_along(client: Client, server: Server) -> None:
    server.answers = [CHUNKED + b"1\r\na\r\n", TEN]
    answer = ask(client, server)
    next(iter(answer))
    answer.close()
    answer.close()
    assert said(client, server) == b"0123456789"
    assert server.connections == 2


@pytest.mark.parametrize("value", ["a\r\nx-evil: b", "a\nb", "a\x00b", "a\x7fb", "é"])
def test_a_header_that_would_be_two_is_not_sent(value: str) -> None:
    for headers in ({"x-mine": value}, {value: "a"}, {f"x-mine: {value}": "b"}):
        with pytest.raises(ValueError, match=r"characters|ascii"):
            request_of(Call("http://127.0.0.1", headers=headers))


def test_what_a_call_says_goes_before_what_is_said_otherwise() -> None:
    call = Call("https://models.example.com:8443/v1/é?q=a b", {"a": "é"}, {"accept": "text/plain", "HOST": "mine"})
    head, _, body = b"".join(request_of(call)).partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "POST /v1/%C3%A9?q=a%20b HTTP/1.1", "Accept-Encoding: identity", "Connection: keep-alive",
        "User-Agent: Dataelan", "Content-Type: application/json", "Content-Length: 10",
        "accept: text/plain", "HOST: mine",
    ]  # fmt: skip
    assert body == '{"a":"é"}'.encode()


def test_a_form_with_files_says_its_length_and_where_its_parts_end() -> None:
    call = Call(
        "http://a.example",
        form={"model": "m"},
        uploads=(Upload("file", filename="a.wav", content=b"RIFF", media_type="audio/wav"),),
    )
    head, _, body = b"".join(request_of(call)).partition(b"\r\n\r\n")
    said = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert int(said["Content-Length"]) == len(body)
    assert said["Content-Type"].partition("boundary=")[2].encode() in body
    assert b"RIFF" in body


def test_a_large_request_arrives_whole(client: Client, server: Server) -> None:
    content = bytes(range(256)) * 4096
    came = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            line, _ = listener.accept()
            with line:
                while len(came.partition(b"\r\n\r\n")[2]) < len(content):
                    came.extend(line.recv(65536))
                line.sendall(TEN)

        threading.Thread(target=take, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        answer = client.send(request_of(Call(url, content=content)), QUICK, time.monotonic() + 5)
        assert b"".join(answer) == b"0123456789"
        answer.close()
    assert came.partition(b"\r\n\r\n")[2] == content


def test_who_answers_before_they_have_read_all_is_heard(client: Client) -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nless"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            line, _ = listener.accept()
            line.recv(1000)
            line.sendall(refusal)
            line.shutdown(socket.SHUT_WR)
            while line.recv(65536):
                pass

        threading.Thread(target=refuse, daemon=True).start()
        request = request_of(Call(f"http://127.0.0.1:{listener.getsockname()[1]}", content=b"x" * 4_000_000))
        answer = client.send(request, QUICK, time.monotonic() + 5)
        assert (answer.status, b"".join(answer)) == (413, b"less")
        answer.close()


def test_a_connection_on_which_half_a_request_lies_is_not_used_again(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(self: Connection, piece: bytes, seconds: float, ends_at: float) -> None:
        self.line.sendall(piece[:-2])
        raise httpx2.WriteError("no more is taken")

    with monkeypatch.context() as broken:
        broken.setattr(Connection, "_write", half)
        assert said(client, server) == b"0123456789"
    assert said(client, server) == b"0123456789"
    assert server.connections == 2


def test_a_connection_that_rested_too_long_is_closed(
    client: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http11, "RESTS", 0.05)
    said(client, server)
    time.sleep(0.1)
    said(client, server)
    assert server.connections == 2
    client._sweep()
    assert len(client._idle) == 1, "the last one may still be used"
    time.sleep(0.1)
    client._sweep()
    assert client._idle == {}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 4),
        ("timeout=5, max=100", 4),
        ('max=3, Timeout = "30"', 29),
        ("timeout=86400", 45),
        ("timeout=1", 0),
        ("timeout=0", -1),
        ("timeout=" + "9" * 400, 45),
        ("timeout=-5", 4),
    ],
)
def test_a_connection_rests_for_as_long_as_its_other_end_says(header: str, seconds: float) -> None:
    with socket.socket() as line:
        connection, before = Connection(line), time.monotonic()
        connection.rests(header)
        assert connection._rests_until - before == pytest.approx(seconds, abs=0.5)
        assert connection.has_rested == (seconds <= 0)


def test_a_connection_that_took_a_handshake_rests_longer() -> None:
    context = ssl.create_default_context()
    with context.wrap_socket(socket.socket(), server_hostname="example.com", do_handshake_on_connect=False) as line:
        connection, before = Connection(line), time.monotonic()
        connection.rests("")
        assert connection._rests_until - before == pytest.approx(45, abs=0.5)


def test_who_closes_after_a_second_is_asked_on_another_connection(client: Client, server: Server) -> None:
    server.answers = [TEN.replace(b"\r\n\r\n", b"\r\nKeep-Alive: timeout=1\r\n\r\n")]
    assert [said(client, server) for _ in range(2)] == [b"0123456789"] * 2
    assert server.connections == 2


def test_who_is_silent_is_asked_whether_they_are_there(client: Client, server: Server) -> None:
    said(client, server)
    ((connection,),) = client._idle.values()
    assert connection.line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert connection.line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15


def test_a_place_is_given_back_whatever_became_of_its_call(server: Server) -> None:
    with wire.clients(connections=1) as http:
        for answer in (TEN, b"|", CHUNKED + b"zz", TEN[:-2] + b"|", TEN):
            server.answers = [answer]
            with suppress(httpx2.RemoteProtocolError):
                said(http.anywhere, server)
        with pytest.raises(httpx2.ConnectError):
            request = request_of(Call("http://127.0.0.1:1", method="GET"))
            http.anywhere.send(request, QUICK, time.monotonic() + 5)
        held = ask(http.anywhere, server)
        with pytest.raises(httpx2.PoolTimeout):
            http.anywhere.send(request_of(Call(server.url, method="GET")), Deadlines(connect=0.1), math.inf)
        held.close()
        assert said(http.anywhere, server) == b"0123456789"
