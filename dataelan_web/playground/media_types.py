"""Which files a browser may show and which it may only save, decided by what they are and not by what they claim."""

from __future__ import annotations

from typing import Protocol

from ..router.providers.media import SIGNED, sniffed

__all__ = ["OTHERWISE", "SIGNED", "kind_of", "plain", "shown_as"]

OTHERWISE = "application/octet-stream"

# What may be shown → what its first bytes must then be. All of these are drawn or played, and none runs anything; SVG,
# HTML and PDF can, and are not here.
_SHOWN = {
    "image/png": ("image/png",),
    "image/apng": ("image/png",),
    "image/jpeg": ("image/jpeg",),
    "image/gif": ("image/gif",),
    "image/webp": ("image/webp",),
    "image/avif": ("image/avif",),
    "audio/mpeg": ("audio/mpeg",),
    "audio/wav": ("audio/wav",),
    "audio/ogg": ("audio/ogg",),
    "audio/flac": ("audio/flac",),
    "audio/aac": ("audio/aac",),
    "audio/mp4": ("audio/mp4", "video/mp4"),
    "video/mp4": ("video/mp4",),
    "video/webm": ("video/webm",),
}
_ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/opus": "audio/ogg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
}


class File(Protocol):
    media_type: str


def plain(media_type: str) -> str:
    """Without its parameters, under its usual name."""
    found = media_type.partition(";")[0].strip().lower()
    return _ALIASES.get(found, found)


def shown_as(media_type: str, start: bytes) -> str | None:
    """The media type to show a file as, when its claim and its first bytes agree on one; None: only to be saved."""
    claimed = plain(media_type)
    return claimed if sniffed(start[:SIGNED], "") in _SHOWN.get(claimed, ()) else None


def kind_of(file: File) -> str:
    """`image`, `audio` or `video` for what a page can show by its claim; else `file`."""
    claimed = plain(file.media_type)
    return claimed.partition("/")[0] if claimed in _SHOWN else "file"
