"""What embeddings have in common: the texts of a prompt, and vectors as lists of numbers or packed in base64."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import whole_body
from dataelan_web.router.providers.framing import MEBIBYTE
from dataelan_web.router.providers.json_values import broken, string
from dataelan_web.router.providers.media import decode_base64
from dataelan_web.router.types import Decoder, Done, Embedding, Event, Finish, Prompt, Unsupported, Usage

EVENT_LIMIT = 32 * MEBIBYTE

# Numbers of an embedding are near 0. Bytes that are no floats, read as floats, are anything up to 1e38.
_LARGEST = 1e6


def texts(prompt: Prompt) -> list[str]:
    """What is to be embedded, one text a message, in its order. Raises Unsupported."""
    if prompt.images or prompt.files:
        raise Unsupported("Only text can be embedded here, no pictures or files.")
    found = [message.text for message in prompt.messages]
    if not any(text.strip() for text in found):
        raise Unsupported("There is nothing to embed: the prompt has no text.")
    return found


def dimensions(prompt: Prompt) -> int | None:
    asked = prompt.media.get("dimensions")
    return asked if isinstance(asked, int) else None


def purpose(prompt: Prompt) -> str:
    """What the vectors are for, as most say it: `query`, `document`, `classification` …; empty when not said.

    Providers spell it differently (`search_query`, `RETRIEVAL_QUERY`), and a prompt may be in any spelling.
    """
    said = string(prompt.media.get("input_type")).lower()
    return said.removeprefix("search_").removeprefix("retrieval_")


def vector(value: Any) -> tuple[float, ...]:
    """A list of numbers, or base64 of little-endian float32, or of int8 (Perplexity). Raises Failure."""
    if isinstance(value, str):
        return _unpacked(decode_base64(value))
    if not isinstance(value, list) or not value:
        raise broken("The provider sent an embedding that is not a list of numbers.")
    return tuple(map(_number, value))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e38 < value < 1e38:
        raise broken("The provider sent an embedding with something in it that is not a number.")
    return float(value)


def _unpacked(content: bytes) -> tuple[float, ...]:
    if not content:
        raise broken("The provider sent an empty embedding.")
    if len(content) % 4 == 0:
        floats = struct.unpack(f"<{len(content) // 4}f", content)
        if all(math.isfinite(number) and abs(number) <= _LARGEST for number in floats):
            return floats
    return tuple(map(float, struct.unpack(f"{len(content)}b", content)))


def reader(
    found: Callable[[Mapping[str, Any]], Iterator[tuple[int, Any]]], usage: Callable[[Mapping[str, Any]], Usage]
) -> Decoder:
    """`found` yields vectors with their places, `usage` says what they cost; both read a document of their format."""

    def read(document: Mapping[str, Any]) -> Iterator[Event]:
        vectors = [Embedding(place, vector(value)) for place, value in found(document)]
        if not vectors:
            return
        yield from vectors
        used = usage(document)
        if used != Usage():
            yield used
        yield Done(Finish.STOP, "", string(document.get("model")), string(document.get("id")))

    return whole_body.decoder(read, "embeddings", EVENT_LIMIT)
