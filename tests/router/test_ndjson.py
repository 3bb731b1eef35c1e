"""From lines to documents, wherever the bytes are cut."""

from __future__ import annotations

import pytest

from dataelan_web.router.providers.framing import MEBIBYTE, Frame
from dataelan_web.router.providers.ndjson import JsonLines
from dataelan_web.router.types import Failure, Kind


def frames(body: bytes, size: int = 1) -> list[Frame]:
    reader = JsonLines()
    found: list[Frame] = []
    for start in range(0, len(body), size):
        found += reader.feed(body[start : start + size], False)
    return found + list(reader.feed(b"", True))


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("body", "documents"),
    [
        (b'{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
        (b'{"a":1}\r\n{"a":2}\r\n', [{"a": 1}, {"a": 2}]),
        (b'\n \n{"a":1}\n\n{"a":2}', [{"a": 1}, {"a": 2}]),
        (b'{"a":1}', [{"a": 1}]),
        ('{"a":"é🦫"}\n'.encode(), [{"a": "é🦫"}]),
        (b'data: {"a":1}\n\ndata: {"a":2}\n\n', [{"a": 1}, {"a": 2}]),
    ],
)
def test_a_stream_becomes_its_documents(body: bytes, documents: list[object], size: int) -> None:
    assert frames(body, size) == [Frame(document) for document in documents]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_body_over_several_lines_is_one_document(size: int) -> None:
    assert frames(b'{\n  "a": {\n    "b": 1}\n}\n', size) == [Frame({"a": {"b": 1}})]


def test_a_last_line_that_is_cut_was_cut_off() -> None:
    body = b'{"a":1}\n{"a":2}\n'
    for end in range(9, len(body) - 2):
        with pytest.raises(Failure) as caught:
            frames(body[:end])
        assert (caught.value.kind, caught.value.code) == (Kind.TRANSIENT, "cut_off")


@pytest.mark.parametrize("body", [b"", b"\n", b"hello", b"<html>", b"{", b'{"a":1}\n{"a"\n', b'{"a":1}\nhello\n{}\n'])
def test_something_else_is_transient(body: bytes) -> None:
    with pytest.raises(Failure) as caught:
        frames(body)
    assert caught.value.kind is Kind.TRANSIENT


@pytest.mark.parametrize("line", [b"x" * 100_000, b"x" * 100 + b"\n"])
def test_an_endless_body_is_given_up(line: bytes) -> None:
    reader = JsonLines(event_limit=MEBIBYTE)
    with pytest.raises(Failure, match="larger than 1 MiB"):
        for piece in (b"{", *[line] * 20_000):
            list(reader.feed(piece, False))
