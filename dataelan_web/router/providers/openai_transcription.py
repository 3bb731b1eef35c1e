"""OpenAI's transcription: POST /audio/transcriptions as a multipart form, and how Mistral, xAI and OpenRouter ask.

Source: openai/openai-python, types/audio/transcription_create_params; mistralai/client-python,
models/audiotranscriptionrequest; docs.x.ai, speech to text (POST /stt); recorded traffic.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from dataelan_web.router.providers import either_body, sound
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.openai_chat import dialect_of, key_headers
from dataelan_web.router.providers.openai_transcript import TranscriptAnswer
from dataelan_web.router.types import Call, Decoder, FilePart, Prompt, Upload

Fields = dict[str, str | None]


class OpenAITranscription(Format):
    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._host = urlsplit(self.base_url).hostname or ""

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        part, headers = sound.recording(prompt), key_headers(self.base_url, key)
        if self._host.endswith("openrouter.ai"):
            return Call(f"{self.base_url}/audio/transcriptions", _openrouter(prompt, part, model), headers)
        fields = {"model": model} | _common(prompt) | self._fields(prompt)
        path = "stt" if self._host.endswith("api.x.ai") else "audio/transcriptions"
        uploads: tuple[Upload, ...] = ()
        if self._host.endswith("api.mistral.ai") and part.url and not part.data:
            fields["file_url"] = part.url
        else:
            uploads = (Upload("file", sound.filename(part), part.media_type, sound.content(part)),)
        form = {name: value for name, value in fields.items() if value}
        return Call(f"{self.base_url}/{path}", None, headers, form=form, uploads=uploads)

    def _fields(self, prompt: Prompt) -> Fields:
        if dialect_of(self.base_url).max_tokens == "max_completion_tokens":
            return _openai(prompt)
        return next((fields(prompt) for end, fields in _DIALECTS.items() if self._host.endswith(end)), _others(prompt))

    def decoder(self) -> Decoder:
        answer = TranscriptAnswer()
        return either_body.decoder(answer, answer.raw)


def _common(prompt: Prompt) -> Fields:
    language, temperature = prompt.media.get("language"), prompt.temperature
    return {
        "language": str(language) if language else None,
        "temperature": None if temperature is None else f"{temperature:g}",
    }


def _openai(prompt: Prompt) -> Fields:
    """No answer with times can be streamed. What tells speakers apart takes no prompt, and must be allowed to cut long
    recordings."""
    streamed = "true" if prompt.stream and not prompt.media.get("timestamps") else None
    if prompt.media.get("diarize"):
        return {"response_format": "diarized_json", "chunking_strategy": "auto", "stream": streamed}
    return _others(prompt) | {"diarize": None, "stream": streamed}


def _others(prompt: Prompt) -> Fields:
    fields: Fields = {
        "response_format": "json",
        "prompt": prompt.words,
        "diarize": "true" if prompt.media.get("diarize") else None,
    }
    if prompt.media.get("timestamps"):
        fields |= {"response_format": "verbose_json", "timestamp_granularities[]": "segment"}
    return fields


def _mistral(prompt: Prompt) -> Fields:
    """It tells speakers apart only together with times, and refuses a language beside them."""
    timed = prompt.media.get("timestamps") or prompt.media.get("diarize")
    fields: Fields = {"diarize": "true" if prompt.media.get("diarize") else None}
    if timed:
        fields |= {"timestamp_granularities": "segment", "language": None}
    return fields


def _xai(prompt: Prompt) -> Fields:
    """`format` writes numbers and money as such, and needs a language."""
    return {
        "format": "true" if prompt.media.get("language") else None,
        "diarize": "true" if prompt.media.get("diarize") else None,
        "temperature": None,
    }


_DIALECTS: Mapping[str, Callable[[Prompt], Fields]] = {"api.mistral.ai": _mistral, "api.x.ai": _xai}


def _openrouter(prompt: Prompt, part: FilePart, model: str) -> dict[str, Any]:
    """No form: the recording is base64 in JSON."""
    data = base64.b64encode(sound.content(part)).decode()
    body: dict[str, Any] = {"model": model, "input_audio": {"data": data, "format": sound.ending_of(part)}}
    if language := prompt.media.get("language"):
        body["language"] = language
    if prompt.temperature is not None:
        body["temperature"] = prompt.temperature
    return body
