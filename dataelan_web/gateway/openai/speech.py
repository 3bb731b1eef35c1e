"""POST /v1/audio/speech. Source: openai/openai-openapi, CreateSpeechRequest, CreateSpeechResponseStreamEvent."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from flask import Response
from pydantic import Field

from ...models import Execution, ModelType
from ...router.types import Asset, Done, Event, Failure, Prompt, Task, Usage, user
from .. import errors
from ..inbound import Inbound, Whole
from ..json_body import Strict, checked
from ..sse import event as sse


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
    """Raises Refused (400) naming the first field that is wrong."""
    asked = checked(body, SpeechRequest)
    is_sse, is_bare = asked.stream_format == "sse", asked.response_format == "pcm"
    prompt = Prompt((user(asked.input),), Task.SPEECH, asked.media, stream=is_sse)
    whole = partial(_sound, is_bare)
    return Inbound(asked.model, prompt, whole, partial(Sound, is_bare=is_bare), ModelType.VOICE)


def _sound(is_bare: bool, whole: Whole) -> Response:
    media_type = whole.assets[0].media_type if whole.assets else "audio/mpeg"
    content = b"".join(_samples(one, is_bare) for one in whole.assets)
    return Response(content, mimetype="audio/pcm" if is_bare else media_type)


def _samples(asset: Asset, is_bare: bool) -> bytes:
    """Raw samples are kept as a WAV file, which plays; who asked for samples gets them without its head."""
    start = asset.content.find(b"data") if is_bare and asset.content.startswith(b"RIFF") else -1
    return asset.content if start < 0 else asset.content[start + 8 :]


class Sound:
    def __init__(self, execution: Execution, model: str, *, is_bare: bool):
        self._is_bare = is_bare

    def of(self, event: Event) -> bytes:
        if not isinstance(event, Asset):
            return b""
        return sse({"type": "speech.audio.delta", "audio": b64encode(_samples(event, self._is_bare)).decode()})

    def last(self, done: Done | None, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        counts = {"input_tokens": usage.input_total, "output_tokens": usage.output_total}
        used = counts | {"total_tokens": usage.input_total + usage.output_total}
        yield sse({"type": "speech.audio.done", "usage": used, "dataelan": facts})

    def broken(self, failure: Failure, facts: dict[str, Any]) -> Iterator[bytes]:
        yield sse({"type": "error", **errors.told(errors.of(failure)), "dataelan": facts})
