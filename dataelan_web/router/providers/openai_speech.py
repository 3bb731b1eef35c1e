"""OpenAI's speech: POST /audio/speech, and how Mistral and xAI differ from it.

Source: openai/openai-python, types/audio/speech_create_params; mistralai/client-python, models/speechrequest (one
`voice_id`, sound as base64 in JSON); docs.x.ai, text to speech (POST /tts); recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from dataelan_web.router.providers import either_body, failures, sound
from dataelan_web.router.providers.framing import MEBIBYTE, Frame
from dataelan_web.router.providers.json_values import broken, first_count, mapping, string
from dataelan_web.router.providers.media import decode_base64
from dataelan_web.router.providers.openai_chat import dialect_of, key_headers
from dataelan_web.router.providers.openai_chat_answer import CUT_OFF
from dataelan_web.router.types import Call, Decoder, Done, Event, Failure, Finish, Kind, Prompt, Unsupported, Usage

# OpenAI demands a voice. This one is the oldest, and known to most of the servers that speak this format.
USUAL_VOICE = "alloy"
EVENT_LIMIT = 32 * MEBIBYTE


class OpenAISpeech:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._host = urlsplit(self.base_url).hostname or ""
        self._spoken = sound.Spoken()

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        words = words_of(prompt)
        format = string(prompt.media.get("format"))
        self._spoken = sound.Spoken(len(words), format or "mp3", sound.USUAL_RATE if format == "pcm" else 0)
        if self._host.endswith("api.x.ai"):
            path, body = "tts", _xai(prompt, words, format)
        else:
            path, body = "audio/speech", self._body(prompt, words, model, format)
        return Call(f"{self.base_url}/{path}", body, key_headers(self.base_url, key))

    def _body(self, prompt: Prompt, words: str, model: str, format: str) -> dict[str, Any]:
        mistral, voice = self._host.endswith("api.mistral.ai"), string(prompt.media.get("voice"))
        options = {
            "voice_id" if mistral else "voice": voice or (None if mistral else USUAL_VOICE),
            "response_format": format or None,
            "speed": None if mistral else prompt.media.get("speed"),
            "instructions": None if mistral else instructions(prompt) or None,
            "stream_format": "sse" if self._tells_tokens(model) else None,
        }
        said = {name: value for name, value in options.items() if value is not None}
        return {"model": model, "input": words} | said

    def _tells_tokens(self, model: str) -> bool:
        """OpenAI's newer voices are priced by tokens, which it tells in a stream only; its tts-1 cannot stream."""
        return dialect_of(self.base_url).max_tokens == "max_completion_tokens" and model.startswith("gpt-")

    def decoder(self) -> Decoder:
        answer = SpeechAnswer(self._spoken)
        marks = either_body.MARKS_BESIDE_SAMPLES if self._spoken.pcm_rate else either_body.MARKS
        return either_body.decoder(answer, answer.raw, marks, EVENT_LIMIT)

    def failure(self, status: int, body: bytes) -> Failure:
        return failures.failure(status, body)


def words_of(prompt: Prompt) -> str:
    """What is to be said aloud. Raises Unsupported when there is nothing."""
    if not prompt.words.strip():
        raise Unsupported("There is nothing to say aloud: the prompt has no text.")
    return prompt.words


def instructions(prompt: Prompt) -> str:
    """How it is to be said."""
    return string(prompt.media.get("instructions")) or prompt.system


def _xai(prompt: Prompt, words: str, format: str) -> dict[str, Any]:
    """It has one model, which is not named, and demands a language; `auto` finds it out."""
    options = {
        "voice_id": string(prompt.media.get("voice")) or None,
        "output_format": {"codec": format} if format else None,
        "speed": prompt.media.get("speed"),
    }
    said = {name: value for name, value in options.items() if value is not None}
    return {"text": words, "language": string(prompt.media.get("language")) or "auto"} | said


class SpeechAnswer:
    """A sound, however it is wrapped. What was said is known from the request, so its characters are counted there."""

    def __init__(self, spoken: sound.Spoken) -> None:
        self._spoken = spoken
        self._sound = bytearray()
        self._usage = Usage()
        self._is_whole = False

    def raw(self, body: bytes) -> Iterator[Event]:
        self._sound += body
        self._is_whole = True
        yield from ()

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._is_whole:
            return
        document = mapping(frame.document)
        if failures.is_error(document):
            raise failures.failure_in_answer(document)
        if "detail" in document or "message" in document:
            raise failures.failure_in_answer(document)
        # `audio_data`: Mistral, in streams and in whole answers.
        self._sound += decode_base64(string(document.get("audio")) or string(document.get("audio_data")))
        if reported := mapping(document.get("usage")):
            self._usage = usage_of(reported)
        self._is_whole = frame.whole or frame.done or document.get("type") == "speech.audio.done"
        yield from ()

    def end(self) -> Iterator[Event]:
        if not self._is_whole:
            raise Failure(Kind.TRANSIENT, CUT_OFF, code="cut_off")
        if not self._sound:
            raise broken("The provider answered without any sound. Check the base URL.")
        yield sound.asset(bytes(self._sound), self._spoken)
        usage = self._usage.updated(Usage(characters=self._spoken.characters))
        if usage.known:
            yield usage
        yield Done(Finish.STOP)


def usage_of(reported: Mapping[str, Any]) -> Usage:
    """Tokens in OpenAI's words or in Mistral's. All that a voice puts out is sound."""
    output = first_count(reported.get("output_tokens"), reported.get("completion_tokens"))
    return Usage(
        input=first_count(reported.get("input_tokens"), reported.get("prompt_tokens")),
        output=output,
        output_audio=output,
    )
