"""Amazon's binary event stream, application/vnd.amazon.eventstream, in which Bedrock streams its answers.

A message: total length (4 bytes), length of the headers (4), CRC-32 of these 8, headers, payload, CRC-32 of everything
before. A header: length of its name (1), name, type (1), value. Numbers are big-endian. Source: boto/botocore,
eventstream.py (0e6e2404); smithy.io, “Amazon Event Stream Specification”.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from struct import unpack_from
from typing import Any

from dataelan_web.router.providers.failures import failure_in_answer
from dataelan_web.router.providers.framing import EVENT_LIMIT, MEBIBYTE, Answer, Frame, Frames
from dataelan_web.router.providers.json_values import broken, first_count, mapping, parse, parse_or_none, string
from dataelan_web.router.providers.ndjson import Reader, cut_off, decoding
from dataelan_web.router.types import Decoder, Failure

HEADERS_LIMIT = 128 * 1024

_PRELUDE, _CHECKSUM = 12, 4
# A stream begins with the highest byte of a length, which no answer needs; no text begins so.
_FIRST_BYTE = b"\x00"
_STRING = 7
# Type of a header -> size of its value; byte arrays (6) and strings (7) begin with their own length.
_VALUE_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}

# The HTTP status that each exception has outside a stream (botocore, bedrock-runtime 2023-09-30).
_STATUSES = {
    "accessdeniedexception": HTTPStatus.FORBIDDEN,
    "modelerrorexception": HTTPStatus.FAILED_DEPENDENCY,
    "modelnotreadyexception": HTTPStatus.TOO_MANY_REQUESTS,
    "modelstreamerrorexception": HTTPStatus.FAILED_DEPENDENCY,
    "modeltimeoutexception": HTTPStatus.REQUEST_TIMEOUT,
    "resourcenotfoundexception": HTTPStatus.NOT_FOUND,
    "servicequotaexceededexception": HTTPStatus.BAD_REQUEST,
    "serviceunavailableexception": HTTPStatus.SERVICE_UNAVAILABLE,
    "throttlingexception": HTTPStatus.TOO_MANY_REQUESTS,
    "validationexception": HTTPStatus.BAD_REQUEST,
}


def decoder(answer: Answer) -> Decoder:
    """Each event comes as a document `{its type: its payload}`; a body that is JSON as in framing.py."""
    return decoding(EventStream(), answer)


class EventStream:
    """Told from a JSON body by its first byte."""

    def __init__(self) -> None:
        self._reader: Reader | None = None

    def feed(self, chunk: bytes, is_last: bool) -> Iterable[Frame]:
        if self._reader is None:
            if not chunk and not is_last:
                return ()
            self._reader = _Messages() if chunk.startswith(_FIRST_BYTE) else Frames()
        return self._reader.feed(chunk, is_last)


class _Messages:
    def __init__(self) -> None:
        self._bytes = bytearray()
        self._size = 0
        """Of the message that is coming; 0 until its prelude is there."""

    def feed(self, chunk: bytes, is_last: bool) -> Iterator[Frame]:
        self._bytes += chunk
        while message := self._taken():
            yield from _frames(message)
        if is_last and self._bytes:
            raise cut_off()

    def _taken(self) -> bytes | None:
        if not self._size and len(self._bytes) >= _PRELUDE:
            self._size = _size(bytes(self._bytes[:_PRELUDE]))
        if not self._size or len(self._bytes) < self._size:
            return None
        message = bytes(self._bytes[: self._size])
        del self._bytes[: self._size]
        self._size = 0
        return message


def _size(prelude: bytes) -> int:
    total, headers, checksum = unpack_from(">III", prelude)
    if crc32(prelude[:8]) != checksum:
        raise _damaged()
    if headers > HEADERS_LIMIT or not _PRELUDE + headers + _CHECKSUM <= total <= EVENT_LIMIT:
        raise broken(f"The provider sent a single event larger than {EVENT_LIMIT // MEBIBYTE} MiB.")
    return int(total)


def _frames(message: bytes) -> Iterator[Frame]:
    checksum = int(unpack_from(">I", message, len(message) - _CHECKSUM)[0])
    if crc32(message[:-_CHECKSUM]) != checksum:
        raise _damaged()
    end = _PRELUDE + int(unpack_from(">I", message, 4)[0])
    headers, payload = _headers(message[_PRELUDE:end]), message[end:-_CHECKSUM].decode("utf-8", "replace")
    match headers.get(":message-type"):
        case "exception":
            raise _failure(headers.get(":exception-type", ""), mapping(parse_or_none(payload)))
        case "error":
            raise _failure(headers.get(":error-code", ""), {"message": headers.get(":error-message", "")})
    if payload:
        yield Frame({headers.get(":event-type", ""): parse(payload)})


def _headers(data: bytes) -> dict[str, str]:
    """Those whose value is text: all that Bedrock sends are."""
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            start, end = at + 1, at + 1 + data[at]
            name, type, at = data[start:end], data[end], end + 1
            size = _VALUE_SIZES.get(type)
            if size is None:
                size, at = int(unpack_from(">H", data, at)[0]), at + 2
            if type == _STRING:
                headers[name.decode("utf-8", "replace")] = data[at : at + size].decode("utf-8", "replace")
            at += size
    except (IndexError, struct.error):
        raise _damaged() from None
    return headers


def _failure(type: str, said: Mapping[str, Any]) -> Failure:
    """The Failure for an exception in mid-stream. `originalStatusCode`: what the model behind Bedrock answered."""
    status = _STATUSES.get(type.lower(), HTTPStatus.INTERNAL_SERVER_ERROR)
    message = string(said.get("message")) or string(said.get("Message")) or string(said.get("originalMessage"))
    code = first_count(said.get("originalStatusCode")) or int(status)
    return failure_in_answer({"error": {"type": type, "message": message, "status_code": code}})


def _damaged() -> Failure:
    return broken("The provider's answer was damaged on its way: a checksum does not fit.")
