"""ElevenLabs: speech, transcription and the list of models (base URL https://api.elevenlabs.io/v1).

Source: elevenlabs/elevenlabs-python (54e5899), text_to_speech/raw_client, speech_to_text/raw_client, types/model;
recorded traffic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from dataelan_web.router.providers import failures, measures, sound, transcript, whole_body
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import first_count, mapping, mappings, parse, string
from dataelan_web.router.providers.speech import Speech, words_of
from dataelan_web.router.types import (
    Call,
    Decoder,
    Done,
    Event,
    Finish,
    ListedModel,
    Prompt,
    Task,
    Text,
    Unsupported,
    Upload,
    Usage,
)

# "George", the voice of ElevenLabs' own examples (elevenlabs-python's README); every account has it.
USUAL_VOICE = "JBFqnCBsd6RMkjVDRZzb"

# Our word for a format -> theirs, `codec_samplerate_bitrate`, in the best that every plan may use. A WAV is made of
# raw samples here.
_FORMATS: Mapping[str, str] = {
    "": "mp3_44100_128",
    "mp3": "mp3_44100_128",
    "opus": "opus_48000_128",
    "wav": "pcm_24000",
    "pcm": "pcm_24000",
}


def key_headers(key: str) -> dict[str, str]:
    return {"xi-api-key": key} if key else {}


class ElevenLabsSpeech(Speech):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        words, format = words_of(prompt), _format(string(prompt.media.get("format")).lower())
        codec, _, rest = format.partition("_")
        rate = int(rest) if codec == "pcm" else 0
        self._spoken = sound.Spoken(len(words), codec, rate)
        voice = string(prompt.media.get("voice")) or USUAL_VOICE
        body: dict[str, Any] = {"text": words, "model_id": model}
        if speed := prompt.media.get("speed"):
            body["voice_settings"] = {"speed": speed}
        if prompt.seed is not None:
            body["seed"] = prompt.seed
        told = "/stream" if prompt.stream else ""  # as it is made; else when it is whole
        url = f"{self.base_url}/text-to-speech/{quote(voice, safe='')}{told}?output_format={quote(format)}"
        return Call(url, body, key_headers(key))


def _format(asked: str) -> str:
    """Theirs, for ours or for one of their own such as `pcm_16000`. Raises Unsupported."""
    if asked in _FORMATS:
        return _FORMATS[asked]
    if re.fullmatch(r"(mp3|opus)_\d{4,5}_\d{2,3}|(pcm|wav|ulaw|alaw)_\d{4,5}", asked):
        return asked
    raise Unsupported(f"ElevenLabs does not speak {asked[:20]!r}; it knows mp3, opus, wav and pcm.")


class ElevenLabsTranscription(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        part = sound.recording(prompt)
        fields = {
            "model_id": model,
            "language_code": string(prompt.media.get("language")),
            "diarize": "true" if prompt.media.get("diarize") else "",
            "timestamps_granularity": "word",
            "temperature": "" if prompt.temperature is None else f"{prompt.temperature:g}",
            "source_url": "" if part.data else part.url,
        }
        form = {name: value for name, value in fields.items() if value}
        upload = Upload("file", sound.filename(part), part.media_type, b"" if part.url else sound.content(part))
        uploads = () if form.get("source_url") else (upload,)
        return Call(f"{self.base_url}/speech-to-text", None, key_headers(key), form=form, uploads=uploads)

    def decoder(self) -> Decoder:
        return whole_body.decoder(_transcript, "transcript")


def _transcript(document: Mapping[str, Any]) -> Iterator[Event]:
    """With several channels asked for, a transcript each."""
    channels = mappings(document.get("transcripts")) or [dict(document)]
    texts = [string(channel["text"]) for channel in channels if isinstance(channel.get("text"), str)]
    if not texts:
        return
    if text := "\n".join(texts):
        yield Text(text)
    for channel in channels:
        yield from transcript.stretches(transcript.words(channel.get("words"), "text", tells_spaces=True))
    seconds = measures.seconds(document.get("audio_duration_secs"))
    if seconds is not None:
        yield Usage(seconds=seconds)
    yield Done(Finish.STOP, response_id=string(document.get("transcription_id")))


class ElevenLabsModels(Format):
    """Its list names the models that speak or change voices; those that transcribe (scribe) are not in it."""

    def list_call(self, key: str) -> Call:
        return Call(f"{self.base_url}/models", headers=key_headers(key), method="GET")

    def listed(self, body: bytes) -> list[ListedModel]:
        document = parse(body.decode("utf-8", "replace"))
        if not isinstance(document, list):
            raise failures.failure_in_answer(mapping(document))
        return [
            ListedModel(
                string(model.get("model_id")),
                string(model.get("name")),
                first_count(model.get("maximum_text_length_per_request")),
                task=Task.SPEECH,
            )
            for model in mappings(document)
            if string(model.get("model_id")) and model.get("can_do_text_to_speech") is True
        ]
