"""From binary messages to documents, wherever the bytes are cut."""

from __future__ import annotations

import json
from binascii import crc32
from struct import pack

import pytest

from dataelan_web.router.providers.aws_event_stream import EventStream
from dataelan_web.router.providers.framing import EVENT_LIMIT, Frame
from dataelan_web.router.types import Failure, Kind

from .aws_messages import event, exception, framed, message

TWO = event("messageStart", {"role": "assistant"}) + event("contentBlockDelta", {"delta": {"text": "é🦫"}})


def frames(body: bytes, size: int = 1) -> list[Frame]:
    reader = EventStream()
    found: list[Frame] = []
    for start in range(0, len(body), size):
        found += reader.feed(body[start : start + size], False)
    return found + list(reader.feed(b"", True))


@pytest.mark.parametrize("size", [1, 2, 11, 12, 13, 1000])
def test_each_message_is_a_document_under_the_name_of_its_event(size: int) -> None:
    assert frames(TWO, size) == [
        Frame({"messageStart": {"role": "assistant"}}),
        Frame({"contentBlockDelta": {"delta": {"text": "é🦫"}}}),
    ]


def test_a_body_that_is_json_is_read_as_such() -> None:
    assert frames(b'\n{"output":{}}') == [Frame({"output": {}}, whole=True)]


def test_headers_of_every_type_are_passed_over() -> None:
    sizes = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
    headers = b"".join(b"\x01x" + bytes([type]) + b"\x07" * size for type, size in sizes.items())
    headers += b"\x01x\x06" + pack(">H", 3) + b"abc" + b"\x0b:event-type\x07" + pack(">H", 1) + b"e"
    assert frames(framed(headers, b"{}")) == [Frame({"e": {}})]


def test_a_stream_cut_anywhere_inside_a_message_was_cut_off() -> None:
    first = len(event("messageStart", {"role": "assistant"}))
    for end in [*range(1, first), *range(first + 1, len(TWO))]:
        with pytest.raises(Failure) as caught:
            frames(TWO[:end], 1000)
        assert (caught.value.kind, caught.value.code) == (Kind.TRANSIENT, "cut_off")


def test_any_changed_byte_is_noticed() -> None:
    for place in range(1, len(TWO)):
        damaged = TWO[:place] + bytes([TWO[place] ^ 4]) + TWO[place + 1 :]
        with pytest.raises(Failure) as caught:
            frames(damaged, 1000)
        assert caught.value.kind is Kind.TRANSIENT


@pytest.mark.parametrize("headers", [b"\x05ab", b"\x01x", b"\x01x\x07\x00", b"\x01x\x06"])
def test_headers_that_end_early_are_a_failure(headers: bytes) -> None:
    with pytest.raises(Failure):
        frames(framed(headers, b"{}"))


def test_a_message_that_would_be_too_large_is_refused_before_it_comes() -> None:
    for lengths in ((EVENT_LIMIT + 1, 0), (16, 1), (15, 0), (0, 0), (200_000, 150_000)):
        prelude = pack(">II", *lengths)
        with pytest.raises(Failure, match="larger than 8 MiB"):
            frames(prelude + pack(">I", crc32(prelude)))


@pytest.mark.parametrize(
    ("type", "kind", "status"),
    [
        ("throttlingException", Kind.RATE_LIMIT, 429),
        ("serviceUnavailableException", Kind.TRANSIENT, 503),
        ("internalServerException", Kind.TRANSIENT, 500),
        ("modelStreamErrorException", Kind.TRANSIENT, 424),
        ("modelTimeoutException", Kind.TRANSIENT, 408),
        ("validationException", Kind.BAD_REQUEST, 400),
        ("accessDeniedException", Kind.CREDENTIAL, 403),
        ("somethingNewException", Kind.TRANSIENT, 500),
    ],
)
def test_an_exception_in_mid_stream_is_a_failure(type: str, kind: Kind, status: int) -> None:
    with pytest.raises(Failure) as caught:
        frames(TWO + exception(type, {"message": "Sorry."}))
    said = caught.value
    assert (said.kind, said.status, said.message, said.code) == (kind, status, "Sorry.", type.lower())


def test_what_the_model_behind_bedrock_answered_outranks_the_exception() -> None:
    document = {"message": "The model failed.", "originalStatusCode": 429, "originalMessage": "slow down"}
    with pytest.raises(Failure) as caught:
        frames(exception("modelStreamErrorException", document))
    assert (caught.value.kind, caught.value.status) == (Kind.RATE_LIMIT, 429)


def test_an_error_that_is_no_exception_is_a_failure_too() -> None:
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "Ouch."}
    with pytest.raises(Failure, match="Ouch") as caught:
        frames(message(headers, b""))
    assert caught.value.kind is Kind.TRANSIENT


@pytest.mark.parametrize("body", [b"", b"hello", b"<html>", event("chunk", {})[:-5] + b"12345"])
def test_something_else_is_transient(body: bytes) -> None:
    with pytest.raises(Failure) as caught:
        frames(body)
    assert caught.value.kind is Kind.TRANSIENT


def test_a_payload_that_is_no_json_is_transient() -> None:
    with pytest.raises(Failure):
        frames(message({":event-type": "chunk"}, json.dumps({}).encode()[:1]))
