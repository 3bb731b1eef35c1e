"""ElevenLabs: speech, transcription and the list of models (base URL https://api.elevenlabs.io/v1).

Source: elevenlabs/elevenlabs-python (54e5899), text_to_speech/raw_client, speech_to_text/raw_client, types/model;
recorded traffic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from dataelan_web.router.providers import either_body, failures, measures, sound, transcript
from dataelan_web.router.providers.framing import Frame, decoder
from dataelan_web.router.providers.json_values import broken, first_count, mapping, mappings, parse, string
from dataelan_web.router.providers.openai_speech import SpeechAnswer, words_of
from dataelan_web.router.types import (
    Call,
    Decoder,
    Done,
    Event,
    Failure,
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


class ElevenLabsSpeech:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._spoken = sound.Spoken()

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
        url = f"{self.base_url}/text-to-speech/{quote(voice, safe='')}?output_format={quote(format)}"
        return Call(url, body, key_headers(key))

    def decoder(self) -> Decoder:
        answer = SpeechAnswer(self._spoken)
        marks = either_body.MARKS_BESIDE_SAMPLES if self._spoken.pcm_rate else either_body.MARKS
        return either_body.decoder(answer, answer.raw, marks)

    def failure(self, status: int, body: bytes) -> Failure:
        return failures.failure(status, body)


def _format(asked: str) -> str:
    """Theirs, for ours or for one of their own such as `pcm_16000`. Raises Unsupported."""
    if asked in _FORMATS:
        return _FORMATS[asked]
    if re.fullmatch(r"(mp3|opus)_\d{4,5}_\d{2,3}|(pcm|wav|ulaw|alaw)_\d{4,5}", asked):
        return asked
    raise Unsupported(f"ElevenLabs does not speak {asked[:20]!r}; it knows mp3, opus, wav and pcm.")


class ElevenLabsTranscription:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

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
        return decoder(_Transcript())

    def failure(self, status: int, body: bytes) -> Failure:
        return failures.failure(status, body)


class _Transcript:
    """One JSON body; with several channels asked for, a transcript each."""

    def __init__(self) -> None:
        self._id: str | None = None

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._id is not None:
            return
        document = mapping(frame.document)
        if failures.is_error(document) or "detail" in document:
            raise failures.failure_in_answer(document)
        channels = mappings(document.get("transcripts")) or [document]
        texts = [string(channel["text"]) for channel in channels if isinstance(channel.get("text"), str)]
        if not texts:
            raise broken("The provider's answer is JSON, but not a transcript. Check the base URL.")
        self._id = string(document.get("transcription_id"))
        if text := "\n".join(texts):
            yield Text(text)
        for channel in channels:
            yield from transcript.stretches(transcript.words(channel.get("words"), "text"))
        seconds = measures.seconds(document.get("audio_duration_secs"))
        if seconds is not None:
            yield Usage(seconds=seconds)

    def end(self) -> Iterator[Event]:
        if self._id is None:
            raise broken("The provider's answer holds no transcript. Check the base URL.")
        yield Done(Finish.STOP, response_id=self._id)


class ElevenLabsModels:
    """Its list names the models that speak or change voices; those that transcribe (scribe) are not in it."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")

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

    def failure(self, status: int, body: bytes) -> Failure:
        return failures.failure(status, body)
