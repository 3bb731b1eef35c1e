"""POST /v1/audio/speech. Source: openai/openai-openapi, CreateSpeechRequest, CreateSpeechResponseStreamEvent."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal

from flask import Response
from pydantic import Field

from ...models import ModelType
from ...models.records import RunRecord
from ...router.types import Asset, Done, Event, Failure, Prompt, Sound, Task, Text, Usage, user
from .. import errors
from ..inbound import Inbound, Pieces, Whole
from ..json_body import Strict, checked
from ..sse import event as sse
from .unmade import unmade


class Voice(Strict):
    id: str = Field(max_length=200)


class SpeechRequest(Strict):
    input: str = Field(min_length=1, max_length=100_000)
    model: str = Field(default="auto", min_length=1, max_length=200)
    voice: str | Voice | None = None
    instructions: str | None = Field(default=None, max_length=100_000)
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = None
    speed: float | None = Field(default=None, ge=0.25, le=4)
    stream_format: Literal["audio", "sse"] = "audio"

    @property
    def media(self) -> dict[str, Any]:
        voice = self.voice.id if isinstance(self.voice, Voice) else self.voice
        said = {
            "voice": voice,
            "format": self.response_format,
            "speed": self.speed,
            "instructions": self.instructions,
        }
        return {name: value for name, value in said.items() if value}


def read(body: dict[str, Any]) -> Inbound:
    """Raises Refused (400) naming the first field that is wrong. Either way it is told as it is made."""
    asked = checked(body, SpeechRequest)
    is_bare = asked.response_format == "pcm"
    prompt = Prompt((user(asked.input),), Task.SPEECH, asked.media, stream=True)
    if asked.stream_format == "sse":
        return Inbound(asked.model, prompt, _whole, partial(Events, is_bare=is_bare), ModelType.VOICE)
    told_bare = partial(_media_type, is_bare)
    return Inbound(asked.model, prompt, _whole, partial(File, is_bare=is_bare), ModelType.VOICE, told_bare=told_bare)


def _whole(whole: Whole) -> Response:
    raise LookupError("a sound is always told as a stream")


def _media_type(is_bare: bool, first: Sequence[Event]) -> str:
    """Raises Failure where there is no sound among them."""
    sound = next((event for event in first if isinstance(event, Sound | Asset)), None)
    if sound is None:
        done = next((event for event in first if isinstance(event, Done)), None)
        raise unmade("sound", "".join(event.delta for event in first if isinstance(event, Text)), done)
    return "audio/pcm" if is_bare else sound.media_type


class _Told:
    """A sound's bytes as they come: of the whole, which comes last, only what is not told yet. Raw samples are kept as
    a WAV file, which plays; who asked for samples gets them without its head."""

    def __init__(self, *, is_bare: bool):
        self._is_bare, self._has_pieces = is_bare, False

    def of(self, event: Event) -> bytes:
        if isinstance(event, Asset) and not self._has_pieces:
            return self._samples(event.content)
        if not isinstance(event, Sound):
            return b""
        is_first, self._has_pieces = not self._has_pieces, True
        return self._samples(event.content) if is_first else event.content

    def _samples(self, content: bytes) -> bytes:
        start = content.find(b"data") if self._is_bare and content.startswith(b"RIFF") else -1
        return content if start < 0 else content[start + 8 :]


class File(Pieces):
    """The sound and nothing else. That one broke off cannot be told in it, and our server can end an answer only as it
    ends a whole one: who has to know looks at its execution, or asks for events."""

    def __init__(self, execution: RunRecord, model: str, *, is_bare: bool):
        self._told = _Told(is_bare=is_bare)

    def of(self, event: Event) -> bytes:
        return self._told.of(event)

    def last(self, done: Done | None, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        yield from ()

    def broken(self, failure: Failure, facts: dict[str, Any]) -> Iterator[bytes]:
        yield from ()


class Events(Pieces):
    def __init__(self, execution: RunRecord, model: str, *, is_bare: bool):
        self._told = _Told(is_bare=is_bare)
        self._has_sound, self._words = False, ""

    def of(self, event: Event) -> bytes:
        if isinstance(event, Text):
            self._words += event.delta
        piece = self._told.of(event)
        self._has_sound = self._has_sound or bool(piece)
        return sse({"type": "speech.audio.delta", "audio": b64encode(piece).decode()}) if piece else b""

    def last(self, done: Done | None, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        if not self._has_sound:
            yield from self.broken(unmade("sound", self._words, done), facts)
            return
        counts = {"input_tokens": usage.input_total, "output_tokens": usage.output_total}
        used = counts | {"total_tokens": usage.input_total + usage.output_total}
        yield sse({"type": "speech.audio.done", "usage": used, "dataelan": facts})

    def broken(self, failure: Failure, facts: dict[str, Any]) -> Iterator[bytes]:
        yield sse({"type": "error", **errors.told(errors.of(failure)), "dataelan": facts})
