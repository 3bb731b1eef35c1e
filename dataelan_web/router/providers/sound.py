"""Sound in and out: the recording of a prompt, and the bytes that a speech model made, as a file that plays."""

from __future__ import annotations

import binascii
import re
import struct
from array import array
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from dataelan_web.router.providers.media import sniffed
from dataelan_web.router.types import Asset, FilePart, Prompt, Sound, Unsupported

# What the raw samples of OpenAI, ElevenLabs and Gemini have in common: 16 bits, little-endian, one channel.
SAMPLE_BYTES = 2
USUAL_RATE = 24_000
_LARGEST_WAV = 2**32 - 64

# Providers' names of a format -> what its bytes are, where they do not say it themselves.
MEDIA_TYPES: Mapping[str, str] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "opus": "audio/ogg",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "mulaw": "audio/basic",
    "ulaw": "audio/basic",
}
# Media type -> the ending that servers recognize a recording by.
_ENDINGS: Mapping[str, str] = {
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mp4": "m4a",
    "audio/x-m4a": "m4a",
    "audio/m4a": "m4a",
    "audio/ogg": "ogg",
    "audio/opus": "ogg",
    "audio/webm": "webm",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/aac": "aac",
    "video/mp4": "mp4",
    "video/mpeg": "mpeg",
    "video/webm": "webm",
    "video/quicktime": "mov",
}


# -- out ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spoken:
    """What was asked for, as far as the reader of the answer needs it.

    `pcm_rate`: samples a second of raw PCM; 0 for every format that has a container. `is_float`: each of them is 32
    bits, from -1 to 1. A reader that was never told (it takes over from another worker) has no characters to count.
    """

    characters: int | None = None
    format: str = "mp3"
    pcm_rate: int = 0
    is_float: bool = False


def asset(sound: bytes, spoken: Spoken) -> Asset:
    """The sound as a file: raw PCM gets a WAV header, since nothing plays it without one."""
    if spoken.pcm_rate and not sound.startswith(b"RIFF"):
        return Asset("audio/wav", wav(_integers(sound) if spoken.is_float else sound, spoken.pcm_rate))
    return Asset(_type_of(sound, spoken), sound)


def first_piece(start: bytes, spoken: Spoken) -> Sound:
    """The beginning of a sound that is told while it comes; raw PCM gets the header of a file without an end."""
    if spoken.pcm_rate and not start.startswith(b"RIFF"):
        return Sound("audio/wav", _wav_head(_LARGEST_WAV, spoken.pcm_rate) + start)
    return Sound(_type_of(start, spoken), start)


def _integers(floats: bytes) -> bytes:
    """Samples as everybody else's are, of 32 bits each."""
    loudest = 2**15 - 1
    samples = array("f", floats[: len(floats) // 4 * 4])
    return array("h", (round(max(-1.0, min(1.0, one)) * loudest) for one in samples)).tobytes()


def _type_of(start: bytes, spoken: Spoken) -> str:
    return sniffed(start, MEDIA_TYPES.get(spoken.format, "application/octet-stream"))


def wav(samples: bytes, rate: int, channels: int = 1) -> bytes:
    """16-bit PCM as a RIFF file (Multimedia Programming Interface and Data Specifications 1.0, 1991)."""
    return _wav_head(min(len(samples), _LARGEST_WAV), rate, channels) + samples


def _wav_head(size: int, rate: int, channels: int = 1) -> bytes:
    frame = SAMPLE_BYTES * channels
    head = struct.pack("<HHIIHH", 1, channels, rate, rate * frame, frame, 8 * SAMPLE_BYTES)
    return b"".join((
        b"RIFF", struct.pack("<I", 36 + size), b"WAVE",
        b"fmt ", struct.pack("<I", len(head)), head,
        b"data", struct.pack("<I", size),
    ))  # fmt: skip


def rate_of(media_type: str) -> int:
    """The rate of `audio/L16;codec=pcm;rate=24000`, within what a sound card knows."""
    said = re.search(r";\s*rate=(\d{4,6})\b", media_type)
    return int(said[1]) if said else USUAL_RATE


# -- in ----------------------------------------------------------------------------------------


def recording(prompt: Prompt) -> FilePart:
    """The recording to be transcribed: the one sound or film of the prompt. Raises Unsupported."""
    found = [part for part in prompt.files if part.media_type.startswith(("audio/", "video/"))]
    if not found:
        raise Unsupported("There is no recording to transcribe. Attach a sound or a film.")
    if len(found) > 1:
        raise Unsupported("It writes down one recording at a time. Attach only one.")
    return found[0]


def content(part: FilePart) -> bytes:
    """The bytes of a recording. Raises Unsupported where there is only an address, or nothing that can be read."""
    if not part.data and part.url:
        raise Unsupported("This provider takes a recording as a file, not as an address.")
    try:
        found = b64decode(part.data)
    except (binascii.Error, ValueError):
        raise Unsupported("The recording cannot be read: it is not valid base64.") from None
    if not found:
        raise Unsupported("The recording is empty.")
    return found


def filename(part: FilePart) -> str:
    """A name with an ending: many servers go by nothing else."""
    return part.name if re.search(r"\.\w{2,5}$", part.name) else f"{part.name or 'recording'}.{ending_of(part)}"


def ending_of(part: FilePart) -> str:
    plain = part.media_type.partition(";")[0].strip().lower()
    return _ENDINGS.get(plain) or re.sub(r"[^a-z0-9]", "", plain.partition("/")[2].removeprefix("x-")) or "bin"
