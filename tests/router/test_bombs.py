"""Answers that are meant to hurt: too large, too deep, too many, never ending. They are met by a process of its own,
whose memory and time are measured."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dataelan_web.router.exchange import ask
from dataelan_web.router.providers.failures import failure as failure_of
from dataelan_web.router.types import Call, Failure
from dataelan_web.router.wire import clients

from .test_run import ENDING, OPENING, Provider, chunk, response, says

ROOT = Path(__file__).parents[2]
MEGABYTE = 1024 * 1024
MOST_MEMORY = 200 * MEGABYTE
SECONDS = 3.0
SOON = 0.25
"""For answers that would go on for ever: whatever the deadline is, until then they cost all the time there is."""
SLACK = 3.0
"""What one last piece may take after the deadline; this machine may be busy."""

JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FILE = b"HTTP/1.1 200 OK\r\ncontent-type: video/mp4\r\nconnection: close\r\n\r\n"
DEEP = 100_000

Reply = Callable[[socket.socket], None]


def pours(*pieces: bytes | Iterable[bytes]) -> Reply:
    """Sends piece after piece, as fast as they are taken."""

    def reply(connection: socket.socket) -> None:
        for piece in pieces:
            for part in [piece] if isinstance(piece, bytes) else piece:
                connection.sendall(part)

    return reply


def much(content: bytes, size: int) -> Iterator[bytes]:
    """`content` again and again, up to about `size` bytes."""
    block = content * (MEGABYTE // len(content))
    return itertools.repeat(block, size // len(block))


def endless(content: bytes) -> Iterator[bytes]:
    return itertools.repeat(content * (MEGABYTE // len(content)))


Bombed = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def victim() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.router.bombed"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
        yield victim
        victim.terminate()


@pytest.fixture
def bombed(victim: subprocess.Popen[str]) -> Bombed:
    """How it ended for a worker that got these answers. Whatever they were: in its time, and in its memory."""

    def bombed(what: str, *replies: Reply, seconds: float = SECONDS) -> dict[str, Any]:
        provider = Provider()
        provider.answers(*replies)
        assert victim.stdin
        assert victim.stdout
        victim.stdin.write(f"{what} {provider.url} {seconds}\n")
        victim.stdin.flush()
        told: dict[str, Any] = json.loads(victim.stdout.readline())
        provider.close()
        print(f"{told['grown'] // MEGABYTE} MB, {told['seconds']:.1f} s: {told['failure'][:100]}")
        assert told["grown"] < MOST_MEMORY
        assert told["seconds"] < seconds + SLACK
        return told

    return bombed


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (pours(OPENING, endless(b": still here\n\n")), "longer than"),
        (pours(OPENING, endless(chunk("word"))), "longer than"),
        (pours(OPENING, endless(b"\n")), "larger than"),
        (pours(OPENING, b"data: ", much(b"x", 1024 * MEGABYTE)), "single event larger than 8 MiB"),
        (pours(OPENING, b'data: {"choices":[],"x":"', much(b"x", 1024 * MEGABYTE)), "single event larger"),
        (pours(OPENING, endless(b"data:ab\n")), "single event larger"),
        (pours(OPENING, endless(b"data:\n")), "single event larger"),
        (pours(JSON, b'{"a":"', much(b"x", 1024 * MEGABYTE)), "larger than Dataelan accepts (24 MB)"),
        (pours(JSON, b'{"a":"', much(b"x", 20 * MEGABYTE), b'"}'), "not a chat completion"),
        (pours(JSON, '{"a":"🦫'.encode(), much(b"x", 20 * MEGABYTE), b'"}'), "not plain ASCII"),
        (pours(JSON, b'{"a":"\\ud83e\\uddab', much(b"x", 20 * MEGABYTE), b'"}'), "not plain ASCII"),
        (pours(JSON, '{"a":"🦫'.encode(), much(b"x", 15 * MEGABYTE), b'"}'), "not a chat completion"),
        (pours(JSON, b"[", much(b"[],", 20 * MEGABYTE), b"0]"), "more values than"),
        (pours(JSON, b"[", much(b'{"a":{}},', 20 * MEGABYTE), b"0]"), "more values than"),
        (pours(JSON, b'{"a":[', much(b'"ab",', 20 * MEGABYTE), b"0]}"), "more values than"),
        (pours(JSON, b'{"a":[', much(b"1.5,", 20 * MEGABYTE), b"0]}"), "more values than"),
        (pours(OPENING, b"data: [", much(b"[],", 7 * MEGABYTE), b"0]\n\n"), "more values than"),
        (pours(JSON, b'{"a":', much(b"1", 20 * MEGABYTE), b"}"), "not valid JSON"),
        (pours(JSON, b'{"a":0.', much(b"1", 20 * MEGABYTE), b"}"), "not a chat completion"),
        (pours(JSON, b'{"a":1e', much(b"9", 20 * MEGABYTE), b"}"), "not a chat completion"),
        (pours(b"HTTP/1.1 200 OK\r\n", endless(b"x: y\r\n")), "broke before"),
        (pours(b"HTTP/1.1 200 OK\r\nx: ", endless(b"x")), "broke before"),
        (pours(CHUNKED, b"5;", endless(b"x")), "cut the connection"),
    ],
    ids=itertools.count(),
)
def test_an_answer_of_any_size_costs_little_memory_and_ends(reply: Reply, words: str, bombed: Bombed) -> None:
    assert words in bombed("chat", reply, seconds=SOON if words == "longer than" else SECONDS)["failure"]


def test_tiny_pieces_without_end_end_in_their_time(bombed: Bombed) -> None:
    tiny = b"1\r\n:\r\n"
    end = b"\n\n" + chunk("Hello") + ENDING
    hundred_thousand = pours(CHUNKED, tiny * 100_000, b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end))
    assert bombed("chat", hundred_thousand, seconds=30)["failure"] == ""
    blank = b"1\r\n\n\r\n"
    assert "longer than" in bombed("chat", pours(CHUNKED, endless(tiny + blank)), seconds=SOON)["failure"]


def test_very_many_tool_calls_end_in_their_time(bombed: Bombed) -> None:
    def calls() -> Iterator[bytes]:
        for first in range(0, 1_000_000, 5000):
            made = ({"id": f"call-{n}", "function": {"name": "f"}} for n in range(first, first + 5000))
            yield b"".join(
                b"data: " + json.dumps({"choices": [{"delta": {"tool_calls": [call]}}]}).encode() + b"\n\n"
                for call in made
            )

    assert "longer than" in bombed("chat", pours(OPENING, calls()), seconds=SOON)["failure"]


# -- depth -------------------------------------------------------------------------------------------

NESTED = {
    "lists": b"[" * DEEP + b"]" * DEEP,
    "objects": b'{"a":' * DEEP + b"0" + b"}" * DEEP,
    "open": b'{"choices":' + b"[" * DEEP,
    "inside": b'{"choices":[{"message":{"content":' + b"[" * DEEP + b"]" * DEEP + b"}}]}",
    "message": b'{"error":{"message":' + b'{"message":' * DEEP + b"0" + b"}" * DEEP + b"}}",
}


@pytest.mark.parametrize("nested", NESTED.values(), ids=NESTED)
def test_deep_json_is_a_failure_wherever_it_stands(nested: bytes, bombed: Bombed) -> None:
    for what, reply in {
        "chat": says(response(nested)),
        "list": says(response(nested)),
    }.items():
        assert bombed(what, reply)["failure"], what
    assert bombed("chat", pours(OPENING, b"data: ", nested, b"\n\n"))["failure"]
    for status in ("400 Bad Request", "500 Internal Server Error"):
        for what in ("chat", "list"):
            assert bombed(what, says(response(nested, status)), seconds=20)["failure"], status


def test_deep_json_about_a_job_is_a_failure(bombed: Bombed) -> None:
    started = says(response(b'{"id":"1","status":"starting","urls":{}}', "201 Created"))
    told = bombed("job", started, says(response(NESTED["lists"])), seconds=15)
    assert "not valid JSON" in told["failure"]
    assert told["sent"]


def test_deep_json_inside_text_is_read_to_no_great_depth(bombed: Bombed) -> None:
    message: Any = "deep"
    for _ in range(12):
        message = json.dumps({"error": {"message": message}})
    assert bombed("chat", says(response(message.encode(), "400 Bad Request")))["failure"]


# -- lists and files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        pours(JSON, b'{"data":[', endless(b'{"id":"model"},')),
        pours(JSON, b'{"data":["', endless(b"x")),
        pours(JSON, b"[", endless(b"[],")),
        pours(JSON, endless(b"\n")),
        pours(b"HTTP/1.1 500 Oh\r\nconnection: close\r\n\r\n", endless(b"x")),
    ],
    ids=itertools.count(),
)
def test_a_list_of_models_without_an_end_is_a_failure(reply: Reply, bombed: Bombed) -> None:
    assert bombed("list", reply)["failure"]


@pytest.mark.parametrize("what", ["chat", "job"])
def test_an_error_without_an_end_is_a_failure(what: str, bombed: Bombed) -> None:
    reply = pours(b"HTTP/1.1 400 No\r\nconnection: close\r\n\r\n", endless(b'{"error":{"message":"no "},'))
    assert bombed(what, reply)["failure"]


def test_a_file_without_an_end_is_given_up(bombed: Bombed) -> None:
    told = bombed("asset", pours(FILE, endless(b"\0")))
    assert "larger than Dataelan accepts (128 MB)" in told["failure"]
    assert told["sent"]
    assert bombed("asset", pours(FILE, much(b"\0", 120 * MEGABYTE)))["failure"] == ""


def test_many_large_answers_at_once_share_what_there_is(bombed: Bombed) -> None:
    """12 answers of 20 MB, each of which takes three times that until it is understood: few find room at once."""
    content = b"".join(much(b"x", 20 * MEGABYTE))
    large = pours(JSON, b'{"choices":[{"message":{"content":"', content, b'"},"finish_reason":"stop"}]}')
    assert bombed("many", large, seconds=60)["failure"] == ""


# -- compression -------------------------------------------------------------------------------------


@cache
def packed() -> bytes:
    return gzip.compress(b"0" * 100 * MEGABYTE, compresslevel=1)


def deflated() -> bytes:
    """The same without what gzip has around it."""
    return packed()[10:-8]


# brotli and zstd only pretend: nothing here could unpack them.
BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": packed,
    "x-gzip": packed,
    "deflate": deflated,
    "br": lambda: b"\xcf\xff\xff\x7f\xf8\x27\x00" * 1000,
    "zstd": lambda: b"\x28\xb5\x2f\xfd\xa4\x00\xca\x9a\x3b" + b"\0" * 1000,
    "gzip, gzip": lambda: gzip.compress(packed()),
    "GZIP": packed,
}


@pytest.mark.sweep
@pytest.mark.parametrize("what", ["chat", "list", "asset"])
@pytest.mark.parametrize("encoding", BOMBS)
def test_a_compressed_answer_is_not_unpacked(encoding: str, what: str, bombed: Bombed) -> None:
    bomb = BOMBS[encoding]()
    told = bombed(what, says(response(bomb, "200 OK", "application/json", f"content-encoding: {encoding}")))
    assert f"compressed its answer ({encoding.lower()})" in told["failure"]
    assert told["grown"] < 60 * MEGABYTE  # unpacked it is more


@pytest.mark.parametrize("what", ["chat", "list", "asset"])
def test_an_error_that_came_compressed_is_told_without_its_bytes(what: str, bombed: Bombed) -> None:
    bomb = response(
        gzip.compress(b'{"error":{"message":"no"}}'), "400 No", "application/json", "content-encoding: gzip"
    )
    assert bombed(what, says(bomb))["failure"] == "The provider answered 400 Bad Request and did not say why."


def test_a_compression_of_the_transfer_is_not_taken() -> None:
    provider = Provider()
    provider.answers(says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"))
    with clients() as http, pytest.raises(Failure):
        ask(http.anywhere, Call(f"{provider.url}/models", method="GET"), failure_of)
    provider.close()


# -- numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "count", ["-1", "-9223372036854775809", "1e999", "-1e999", "1.5", '"12"', '"-12"', "true", "null", "[]", "9" * 5000]
)
def test_no_counter_is_negative_whatever_was_counted(count: str, bombed: Bombed) -> None:
    usage = f'"prompt_tokens":{count},"completion_tokens":{count},"total_tokens":{count}'
    details = (
        f'"prompt_tokens_details":{{"cached_tokens":{count}}},"completion_tokens_details":{{"reasoning_tokens":7}}'
    )
    document = f'{{"choices":[],"usage":{{{usage},{details}}}}}'.encode()
    told = bombed("chat", pours(OPENING, chunk("Hi"), b"data: ", document, b"\n\n", ENDING))
    assert told["failure"] in ("", "The provider's answer is not valid JSON; it may have been cut off.")
    assert told["least"] is None or told["least"] >= 0


@pytest.mark.parametrize("count", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_not_json(count: str, bombed: Bombed) -> None:
    document = f'{{"choices":[],"usage":{{"prompt_tokens":{count},"completion_tokens":{count}}}}}'.encode()
    assert "not valid JSON" in bombed("chat", pours(OPENING, b"data: ", document, b"\n\n"))["failure"]
