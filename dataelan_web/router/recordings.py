"""How long a recording is, by its own header."""

from __future__ import annotations

import io
import math
from base64 import b64decode
from decimal import Decimal
from typing import Any

import mutagen
from mutagen.aac import AAC
from mutagen.aiff import AIFF
from mutagen.flac import FLAC
from mutagen.mp3 import MP3
from mutagen.mp4 import MP4
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from .prompt import FilePart

LOWEST_BITRATE = 750
"""Bytes a second of the most compressed speech (6 kbit/s): an unreadable recording is at most this long."""
READ = [MP3, WAVE, FLAC, OggOpus, OggVorbis, MP4, AAC, AIFF]
"""What people record and providers take. Of mutagen's other formats some can be made to read for ever (Musepack)."""


def seconds_of(file: FilePart, *, longest: bool = False) -> Decimal:
    """Unreadable: 0, or the longest it can be. At the longest a length is rounded as those do who count whole seconds,
    with one for another reading of the same header."""
    length = _length(_read(file))
    if length is None:
        return Decimal(-(-file.size // LOWEST_BITRATE)) if longest else Decimal(0)
    return Decimal(math.ceil(length) + 1) if longest else Decimal(str(round(length, 3)))


def most_seconds(file: FilePart) -> int | None:
    """The longest it can be, whatever its header says; None: nobody can say. Only of MP3 (a kilobyte a second at least)
    and WAV (its header says how it is played) do bytes bound the length: of all else an hour of silence may be nothing.
    """
    found = _read(file)
    length = _length(found)
    if length is None or not isinstance(found, MP3 | WAVE):
        return None
    return max(math.ceil(length) + 1, -(-file.size // 1000))


def _read(file: FilePart) -> Any:
    try:
        return mutagen.File(io.BytesIO(b64decode(file.data)), READ)
    except Exception:  # a stranger's file: mutagen meets it with whatever error comes to it
        return None


def _length(found: Any) -> float | None:
    """In seconds."""
    length = getattr(getattr(found, "info", None), "length", None)
    return length if isinstance(length, int | float) and 0 < length < math.inf else None
