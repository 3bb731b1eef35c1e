"""Sound, simulated: speech that is a tune with one soft tone a word, and transcripts that say that they are none."""

from __future__ import annotations

import hashlib
import io
import math
import struct
import wave
from dataclasses import dataclass
from functools import lru_cache

from werkzeug.datastructures import FileStorage

from dataelan_web.local.simulated.making import Asked, form_of, json_of, text_in
from dataelan_web.local.simulated.wire import Frame, Reply, json_reply

RATE = 16_000
LOUDNESS = 0.2
LONGEST_INPUT = 4096  # characters, as OpenAI has it
MOST_TONES = 200
PAUSE = 0.05
# A pentatonic scale from A3 on: any order of its notes is pleasant.
NOTES = tuple(220 * 2 ** (step / 12) for step in (0, 2, 4, 7, 9, 12, 14, 16))


# -- speech --------------------------------------------------------------------------------------


def speech(body: bytes, content_type: str) -> Asked:
    """POST /v1/audio/speech. Whatever format is asked for, the answer is a WAV and says so."""
    data = json_of(body)
    words = text_in(data, "input")
    if not words.strip():
        raise ValueError("'input' must not be empty.")
    if len(words) > LONGEST_INPUT:
        raise ValueError(f"'input' must have at most {LONGEST_INPUT} characters.")
    return Asked(text_in(data, "model"), words, lambda said: Reply([Frame(0, tune(said))], content_type="audio/wav"))


def tune(text: str) -> bytes:
    """A WAV file of the first words: the same text sounds the same, and a long word longer than a short one."""
    pause = bytes(2 * int(RATE * PAUSE))
    tones = [_tone(_note(word), min(len(word), 12)) for word in text.split()[:MOST_TONES]]
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(RATE)
        recording.writeframes(pause.join([b"", *tones, b""]))
    return file.getvalue()


def _note(word: str) -> int:
    return hashlib.sha256(word.lower().encode()).digest()[0] % len(NOTES)


@lru_cache(maxsize=len(NOTES) * 12)
def _tone(note: int, letters: int) -> bytes:
    """A sine that swells and fades, so that nothing clicks."""
    count = int(RATE * (0.1 + 0.02 * letters))
    step = 2 * math.pi * NOTES[note] / RATE
    samples = (
        int(32767 * LOUDNESS * math.sin(math.pi * place / count) * math.sin(step * place)) for place in range(count)
    )
    return struct.pack(f"<{count}h", *samples)


# -- transcripts ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recording:
    name: str
    size: int
    seconds: float | None
    """None for everything but a WAV: its header is the only one that is read."""


def transcription(body: bytes, content_type: str) -> Asked:
    """POST /v1/audio/transcriptions, as a multipart form."""
    form, files = form_of(body, content_type)
    if "file" not in files:
        raise ValueError("You must send the recording as 'file'.")
    recording, format = _recording(files["file"]), form.get("response_format", "json")
    return Asked(text_in(dict(form), "model"), form.get("prompt", ""), lambda _: _transcript(recording, format))


def _recording(file: FileStorage) -> Recording:
    content = file.read()
    return Recording(file.filename or "recording", len(content), length_of(content))


def length_of(content: bytes) -> float | None:
    """Seconds of a WAV file; None for everything else."""
    try:
        with wave.open(io.BytesIO(content)) as recording:
            frame = recording.getsampwidth() * recording.getnchannels()
            # A header that was written before its sound promises any length.
            frames = min(recording.getnframes(), len(content) // frame)
            return float(frames / recording.getframerate())
    except (wave.Error, EOFError, ArithmeticError, struct.error):
        return None


def _transcript(recording: Recording, format: str) -> Reply:
    text = _said(recording)
    if format in ("text", "srt", "vtt"):
        return Reply([Frame(0, text.encode(errors="replace"))], content_type="text/plain; charset=utf-8")
    answer: dict[str, object] = {"text": text}
    if recording.seconds is not None:
        answer["usage"] = {"type": "duration", "seconds": math.ceil(recording.seconds)}
        if format == "verbose_json":
            segment = {"id": 0, "start": 0.0, "end": recording.seconds, "text": text}
            answer |= {"task": "transcribe", "duration": recording.seconds, "segments": [segment]}
    return json_reply(answer)


def _said(recording: Recording) -> str:
    length = "of unknown length" if recording.seconds is None else f"{recording.seconds:.1f} seconds long"
    return (
        f"Simulated transcript: nobody listened. The recording {recording.name[:100]} is {length} "
        f"and has {recording.size:,} bytes."
    )
