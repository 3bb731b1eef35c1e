"""Images and sounds that arrive as base64 inside JSON."""

from __future__ import annotations

import binascii
from base64 import b64decode

from dataelan_web.router.providers.json_values import broken
from dataelan_web.router.types import Asset

# The first bytes of the containers that providers and people send. Raw PCM has no mark at all.
_SIGNATURES = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xfa", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"%PDF-", "application/pdf"),
)
# What a RIFF file holds, and what an ISO base media file calls itself; every other brand of the latter is a film.
_RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp"}
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
SIGNED = 64
"""As many first bytes as `sniffed` looks at."""

_ENDINGS = {
    "png": "image/png",
    "apng": "image/apng",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "avif": "image/avif",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
}


def asset(media_type: str, base64_text: str) -> Asset:
    return Asset(media_type or "application/octet-stream", decode_base64(base64_text))


def asset_from_data_url(url: str) -> Asset | None:
    """`data:image/png;base64,...` as an Asset; None for a URL that would have to be fetched."""
    head, comma, content = url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64") or not comma:
        return None
    return asset(head.removeprefix("data:").removesuffix(";base64").partition(";")[0], content)


def decode_base64(text: str) -> bytes:
    try:
        return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_" if "-" in text or "_" in text else None)
    except (binascii.Error, ValueError):
        raise broken("The provider sent an image or sound that cannot be decoded.") from None


def sniffed(content: bytes, otherwise: str) -> str:
    """The media type that the first bytes give away, for formats that do not say it and people who say it wrong."""
    if content.startswith(b"RIFF"):
        return _RIFF.get(content[8:12], otherwise)
    if content[4:8] == b"ftyp":
        return _BRANDS.get(content[8:12], "video/mp4")
    if content.startswith(b"\x1aE\xdf\xa3") and b"webm" in content[:SIGNED]:
        return "video/webm"
    return next((name for start, name in _SIGNATURES if content.startswith(start)), otherwise)


def typed(content: bytes, claimed: str) -> str:
    """The media type of a file of which somebody says what it is: its own first bytes count for more, but for sound
    whose container is that of films, and for pictures that move, which begin as those that do not."""
    kind, found = claimed.partition("/")[0], sniffed(content, claimed)
    if (found, claimed) == ("image/png", "image/apng"):
        return claimed
    return found if kind not in ("audio", "video") or found.startswith(f"{kind}/") else claimed


def by_ending(url: str) -> str:
    """The media type that an address ends in; "" where its end says nothing, and whoever serves it will."""
    path = url.partition("?")[0].partition("#")[0]
    return _ENDINGS.get(path.rpartition("/")[2].rpartition(".")[2].lower(), "")
