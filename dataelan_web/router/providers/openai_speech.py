"""OpenAI's speech: POST /audio/speech, and how Mistral and xAI differ from it.

Source: openai/openai-python, types/audio/speech_create_params; mistralai/client-python, models/speechrequest (one
`voice_id`, sound as base64 in JSON); docs.x.ai, text to speech (POST /tts); recorded traffic.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from dataelan_web.router.providers import sound
from dataelan_web.router.providers.json_values import string
from dataelan_web.router.providers.openai_chat import dialect_of, key_headers
from dataelan_web.router.providers.speech import Speech, instructions, words_of
from dataelan_web.router.types import Call, Prompt

# OpenAI demands a voice. This one is the oldest, and known to most of the servers that speak this format.
USUAL_VOICE = "alloy"
# How OpenAI's ids of voices begin that a customer had made; it takes those as `{"id": …}` only.
OWN_VOICE = "voice_"


class OpenAISpeech(Speech):
    def __init__(self, base_url: str) -> None:
        super().__init__(base_url)
        self._host = urlsplit(self.base_url).hostname or ""

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        words = words_of(prompt)
        format = string(prompt.media.get("format"))
        rate, is_float = sound.USUAL_RATE if format == "pcm" else 0, self._is_mistral
        self._spoken = sound.Spoken(len(words), format or "mp3", rate, is_float)
        if self._host.endswith("api.x.ai"):
            path, body = "tts", _xai(prompt, words, format)
        else:
            path, body = "audio/speech", self._body(prompt, words, model, format)
        return Call(f"{self.base_url}/{path}", body, key_headers(self.base_url, key))

    def _body(self, prompt: Prompt, words: str, model: str, format: str) -> dict[str, Any]:
        mistral, voice = self._is_mistral, string(prompt.media.get("voice"))
        is_own = self._is_openai and voice.startswith(OWN_VOICE)
        named = {"id": voice} if is_own else voice or (None if mistral else USUAL_VOICE)
        options = {
            "voice_id" if mistral else "voice": named,
            "response_format": format or None,
            "speed": None if mistral else prompt.media.get("speed"),
            "instructions": None if mistral else instructions(prompt) or None,
            "stream_format": "sse" if prompt.stream and self._is_openai else None,
        }
        said = {name: value for name, value in options.items() if value is not None}
        return {"model": model, "input": words} | said

    @property
    def _is_mistral(self) -> bool:
        """Its raw samples are 32-bit floats (livekit/agents#5245, pipecat-ai/pipecat#4251)."""
        return self._host.endswith("api.mistral.ai")

    @property
    def _is_openai(self) -> bool:
        """Its newer voices are priced by tokens, which it tells in a stream only."""
        return dialect_of(self.base_url).max_tokens == "max_completion_tokens"


def _xai(prompt: Prompt, words: str, format: str) -> dict[str, Any]:
    """It has one model, which is not named, and demands a language; `auto` finds it out."""
    options = {
        "voice_id": string(prompt.media.get("voice")) or None,
        "output_format": {"codec": format} if format else None,
        "speed": prompt.media.get("speed"),
    }
    said = {name: value for name, value in options.items() if value is not None}
    return {"text": words, "language": string(prompt.media.get("language")) or "auto"} | said
