"""What a call uses beside tokens: pictures, seconds, characters. The most it can, before; what it did, after."""

from __future__ import annotations

import io
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import mutagen

from ..router.candidates import token_bound
from ..router.pricing import Most
from ..router.prompt import FilePart, Prompt, Task
from ..router.types import Usage

BESIDE_TOKENS = ("input_audio", "input_image", "output_audio", "output_image", "images", "seconds", "characters",
                 "billed_input", "billed_output")  # fmt: skip
LOWEST_BITRATE = 750
"""Bytes a second of the most compressed speech (6 kbit/s): an unreadable recording is at most this long."""
TOKENS_OF_AN_IMAGE = 20_000
"""More output tokens than any model counts for one picture (the largest documented are about 6,300)."""
TOKENS_OF_A_CHARACTER, TOKENS_OF_A_SECOND = 10, 100
"""More than any model counts for a spoken character, and for a second of film or of transcript."""
SECONDS_OF_A_FILM = 12
"""Where none are asked for: providers make 4 to 10."""
MOST_IMAGES = 10


def most(prompt: Prompt, output_tokens: int) -> tuple[Most, int]:
    """(the most this prompt can use, the most output tokens). Only of a chat are the latter ours to limit."""
    size = token_bound(prompt)
    match prompt.task:
        case Task.IMAGE:
            count = images_of(prompt)
            return Most(size, images=count), count * TOKENS_OF_AN_IMAGE
        case Task.SPEECH:
            characters = len(prompt.words)
            return Most(size, characters=characters), characters * TOKENS_OF_A_CHARACTER + 2_000
        case Task.TRANSCRIPTION:
            seconds = sum((seconds_of(file, longest=True) for file in prompt.files), Decimal(0))
            return Most(size, seconds=seconds), int(seconds) * TOKENS_OF_A_SECOND + 2_000
        case Task.VIDEO:
            seconds = film_seconds(prompt) * images_of(prompt)
            return Most(size, seconds=seconds), int(seconds) * 100_000
        case Task.EMBEDDING:
            return Most(size), 0
    return Most(size), output_tokens


def measured(prompt: Prompt, media_types: Sequence[str], reported: Usage) -> Usage:
    """What the provider reported, and what we can tell ourselves where it did not."""
    known = Usage()
    match prompt.task:
        case Task.IMAGE:
            known = Usage(images=sum(media_type.startswith("image/") for media_type in media_types) or None)
        case Task.SPEECH:
            known = Usage(characters=len(prompt.words))
        case Task.TRANSCRIPTION:
            known = Usage(seconds=sum((seconds_of(file) for file in prompt.files), Decimal(0)))
        case Task.VIDEO if media_types:
            known = Usage(seconds=film_seconds(prompt) * len(media_types))
    return known.updated(reported)


def images_of(prompt: Prompt) -> int:
    count = prompt.media.get("count")
    return count if isinstance(count, int) and 1 <= count <= MOST_IMAGES else 1


def film_seconds(prompt: Prompt) -> Decimal:
    seconds = prompt.media.get("seconds")
    return Decimal(seconds) if isinstance(seconds, int) and seconds > 0 else Decimal(SECONDS_OF_A_FILM)


def seconds_of(file: FilePart, *, longest: bool = False) -> Decimal:
    """How long a recording is, by its own header. Unreadable: 0, or the longest it can be."""
    try:
        found = mutagen.File(io.BytesIO(b64decode(file.data)))
    except (mutagen.MutagenError, NotBase64, ValueError, EOFError):
        found = None
    length = getattr(getattr(found, "info", None), "length", None)
    if isinstance(length, int | float) and length > 0:
        return Decimal(str(round(length, 3)))
    return Decimal(-(-file.size // LOWEST_BITRATE)) if longest else Decimal(0)


def to_json(usage: Usage) -> dict[str, Any]:
    """What was used beside the five token counters, as it is kept: seconds as text, so that they stay exact."""
    values = {name: getattr(usage, name) for name in BESIDE_TOKENS}
    return {
        name: str(value) if isinstance(value, Decimal) else value for name, value in values.items() if value is not None
    }


def from_json(measures: dict[str, Any]) -> dict[str, Any]:
    """As arguments of a Usage, beside its counters."""
    values = {name: value for name, value in measures.items() if name in BESIDE_TOKENS}
    return values | ({"seconds": Decimal(values["seconds"])} if "seconds" in values else {})
