"""From bytes to documents, wherever the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataelan_web.router.providers.framing import MEBIBYTE, Frame, Frames, Lines
from dataelan_web.router.providers.json_values import count, parse, string
from dataelan_web.router.types import Failure, Kind


def frames(body: bytes, size: int = 1) -> list[Frame]:
    reader, found = Frames(), []
    for start in range(0, len(body), size):
        found += reader.feed(body[start : start + size], False)
    return found + list(reader.feed(b"", True))


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("body", "documents"),
    [
        (b'data: {"a":1}\n\ndata: {"a":2}\n\n', [{"a": 1}, {"a": 2}]),
        (b'data: {"a":1}\r\n\r\ndata: {"a":2}\r\n\r\n', [{"a": 1}, {"a": 2}]),
        (b'data: {"a":1}\r\rdata: {"a":2}\r\r', [{"a": 1}, {"a": 2}]),
        (b': hello\n\ndata: {"a":1}\n\n', [{"a": 1}]),
        (b'\xef\xbb\xbfdata: {"a":1}\n\n', [{"a": 1}]),
        (b'\n\n  data: {"a":1}\n\n', [{"a": 1}]),
        (b'event: x\nid: 7\nretry: 3\ndata:{"a":1}\n\n', [{"a": 1}]),
        (b'data: {"a":\ndata: 1}\n\n', [{"a": 1}]),
        (b'data: {"a":1}', [{"a": 1}]),
        ('data: {"a":"é🦫"}\n\n'.encode(), [{"a": "é🦫"}]),
        (b'data: {"a":1}\n\nerror: {"error":{"message":"late"}}\n\n', [{"a": 1}, {"error": {"message": "late"}}]),
        (b'data: {"a":1}\n\n{"error":"late"}\n\n', [{"a": 1}, {"error": "late"}]),
        (b'[{"a":1},\r\n{"a":2}]', [{"a": 1}, {"a": 2}]),
    ],
)
def test_a_stream_becomes_its_documents(body: bytes, documents: list[object], size: int) -> None:
    assert frames(body, size) == [Frame(document) for document in documents]


LINES = [
    b'data: {"a":1}',
    b"data: [DONE]",
    b"data: ",
    b"data:",
    b'data:{"b":2}',
    b": hi",
    b"event: x",
    b'{"c":3}',
    b"data: x",
]
ENDS = [b"\n\n", b"\n", b"\r\n\r\n", b"\n\n\n", b"\r", b""]


@given(st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(ENDS)), max_size=8), st.integers(2, 40))
def test_events_do_not_depend_on_the_chunks(parts: list[tuple[bytes, bytes]], size: int) -> None:
    body = b"".join(line + end for line, end in parts)
    assert told(body, size) == told(body, 1) == told(body, len(body) + 1)


def told(body: bytes, size: int) -> list[Frame] | str:
    """What came of it, or why nothing did."""
    try:
        return frames(body, size)
    except Failure as failure:
        return failure.message


def test_a_json_body_is_one_whole_document() -> None:
    assert frames(b'\xef\xbb\xbf \n{"a":1}\n') == [Frame({"a": 1}, whole=True)]


def test_the_terminator_is_no_document() -> None:
    assert frames(b"data: [DONE]\n\n") == [Frame(done=True)]


@pytest.mark.parametrize("body", [b"", b"\n \n", b"\xef\xbb\xbf", b"hello", b"data:\n\n", b": only a comment\n\n"])
def test_an_answer_without_a_document_is_transient(body: bytes) -> None:
    with pytest.raises(Failure) as caught:
        frames(body)
    assert caught.value.kind is Kind.TRANSIENT


def test_a_web_page_is_called_a_web_page() -> None:
    with pytest.raises(Failure, match=r"web page, not with JSON\. Check the base URL"):
        frames(b"\n<!doctype html><html></html>")


@pytest.mark.parametrize("size", [100_000, 2 * MEBIBYTE])
def test_an_endless_line_is_given_up(size: int) -> None:
    lines = Lines(limit=MEBIBYTE)
    with pytest.raises(Failure, match="larger than 1 MiB"):
        for _ in range(20):
            list(lines.feed(b"x" * size, False))


def test_an_event_of_endlessly_many_lines_is_given_up() -> None:
    reader = Frames(event_limit=MEBIBYTE)
    with pytest.raises(Failure, match="larger than 1 MiB"):
        for _ in range(200):
            list(reader.feed(b"data: " + b"x" * 10_000 + b"\n", False))


@given(st.lists(st.tuples(st.text("abc é🦫", max_size=8), st.sampled_from(["\n", "\r", "\r\n"]))), st.integers(1, 5))
def test_lines_do_not_depend_on_the_chunks(parts: list[tuple[str, str]], size: int) -> None:
    body = "".join(text + end for text, end in parts).encode()
    whole, pieces = Lines(), Lines()
    together = list(whole.feed(body, True))
    apart = [line for at in range(0, len(body), size) for line in pieces.feed(body[at : at + size], False)]
    assert apart + list(pieces.feed(b"", True)) == together


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a":Infinity}', "[" * 100_000, "9" * 5000, "plain words"])
def test_json_that_is_none_is_transient(text: str) -> None:
    with pytest.raises(Failure) as caught:
        parse(text)
    assert caught.value.kind is Kind.TRANSIENT


@pytest.mark.parametrize("value", [-1, "7", 1.5, float("inf"), float("nan"), None, True, 10**30, [], {}])
def test_a_count_that_is_none_is_unknown(value: object) -> None:
    assert count(value) is None


def test_half_a_surrogate_pair_can_be_stored() -> None:
    assert string("a\ud83d").encode() == "a\ufffd".encode()
    assert string("\ud83e\uddab") == "🦫"
