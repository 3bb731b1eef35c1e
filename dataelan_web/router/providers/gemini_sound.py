"""Gemini's speech and transcription, both of them generateContent.

Source: googleapis/python-genai (6680718), types.py `SpeechConfig`; ai.google.dev/gemini-api/docs/speech-generation and
docs/audio. Speech comes as base64 of raw samples (`audio/L16;codec=pcm;rate=24000`), in one piece or several.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dataelan_web.router.providers import sound
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import Frame, decoder
from dataelan_web.router.providers.gemini import EVENT_LIMIT, Gemini, key_headers, model_path
from dataelan_web.router.providers.gemini_answer import GeminiAnswer
from dataelan_web.router.providers.json_values import broken, string
from dataelan_web.router.providers.speech import instructions, words_of
from dataelan_web.router.types import (
    Asset,
    Call,
    Decoder,
    Done,
    Event,
    Finish,
    Message,
    Prompt,
    TextPart,
    Unsupported,
)

# The voice of Google's own examples.
USUAL_VOICE = "Kore"


class GeminiSpeech(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        """Asked for in one piece: only the newest voices stream. Instructions stand before the words, as a colon
        separates them in Google's examples ("Say cheerfully: Have a wonderful day!")."""
        how, words = instructions(prompt).strip().rstrip(":"), words_of(prompt)
        voice = {"prebuiltVoiceConfig": {"voiceName": string(prompt.media.get("voice")) or USUAL_VOICE}}
        config: dict[str, Any] = {"responseModalities": ["AUDIO"], "speechConfig": {"voiceConfig": voice}}
        if prompt.temperature is not None:
            config["temperature"] = prompt.temperature
        body: dict[str, Any] = {
            "contents": [{"role": "user", "parts": [{"text": f"{how}: {words}" if how else words}]}],
            "generationConfig": config,
        }
        return Call(f"{self.base_url}/{model_path(model)}:generateContent", body, key_headers(key))

    def decoder(self) -> Decoder:
        return decoder(_SpokenAnswer(), EVENT_LIMIT)


class _SpokenAnswer:
    """An answer whose sounds are one."""

    def __init__(self) -> None:
        self._answer = GeminiAnswer()
        self._sound = bytearray()
        self._media_type = ""

    def read(self, frame: Frame) -> Iterator[Event]:
        for event in self._answer.read(frame):
            if isinstance(event, Asset) and event.media_type.startswith("audio/"):
                self._media_type = self._media_type or event.media_type
                self._sound += event.content
            else:
                yield event

    def end(self) -> Iterator[Event]:
        for event in self._answer.end():
            if isinstance(event, Done) and self._sound:
                yield self._asset()
            elif isinstance(event, Done) and event.finish is not Finish.CONTENT_FILTER:
                raise broken("The model answered without any sound. Is it a model that speaks?")
            yield event

    def _asset(self) -> Asset:
        plain = self._media_type.partition(";")[0].lower()
        if plain in ("audio/l16", "audio/pcm"):
            return Asset("audio/wav", sound.wav(bytes(self._sound), sound.rate_of(self._media_type)))
        return Asset(plain, bytes(self._sound))


class GeminiTranscription(Gemini):
    """There is no endpoint for it: the recording goes to a chat model with a request to write it down."""

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        part = sound.recording(prompt)
        if not (part.data or part.url):
            raise Unsupported("The recording is empty.")
        asked = Message("user", (part, TextPart(_request(prompt))))
        return super().call(replace(prompt, messages=(asked,), tools=(), schema=None), model, key)


def _request(prompt: Prompt) -> str:
    wishes = ["Write down what is said in this recording, word for word. Answer with the transcript and nothing else."]
    if language := string(prompt.media.get("language")):
        wishes.append(f"The language is {language}.")
    if prompt.media.get("timestamps"):
        wishes.append("Begin a new line with every sentence, and each line with its time, as in [01:23].")
    if prompt.media.get("diarize"):
        wishes.append("Begin a new line with every change of speaker, and name the speaker, as in Speaker 1:")
    if prompt.words:
        wishes.append(f"Some words that may occur: {prompt.words}")
    return "\n".join(wishes)
