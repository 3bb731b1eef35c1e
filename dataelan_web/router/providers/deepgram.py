"""Deepgram: speech, transcription and the list of models (base URL https://api.deepgram.com/v1).

Source: deepgram/deepgram-python-sdk, speak/v1/audio, listen/v1/media, types/list_models_v1response; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from dataelan_web.router.providers import failures, measures, sound, transcript, whole_body
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.json_values import mapping, mappings, parse, string
from dataelan_web.router.providers.speech import Speech, words_of
from dataelan_web.router.types import (
    Call,
    Decoder,
    Done,
    Event,
    Finish,
    ListedModel,
    Prompt,
    Segment,
    Task,
    Text,
    Unsupported,
    Usage,
)

_FORMATS: Mapping[str, Mapping[str, str]] = {
    "mp3": {"encoding": "mp3"},
    "wav": {"encoding": "linear16", "container": "wav"},
    "opus": {"encoding": "opus", "container": "ogg"},
    "aac": {"encoding": "aac"},
    "flac": {"encoding": "flac"},
    "pcm": {"encoding": "linear16", "container": "none", "sample_rate": str(sound.USUAL_RATE)},
}


def key_headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Token {key}"} if key else {}


class DeepgramSpeech(Speech):
    """A voice is a model of its own (aura-2-thalia-en), so that another voice cannot be asked for."""

    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        words, format = words_of(prompt), string(prompt.media.get("format")).lower() or "mp3"
        if format not in _FORMATS:
            raise Unsupported(f"Deepgram does not speak {format[:20]!r}; it knows {', '.join(_FORMATS)}.")
        self._spoken = sound.Spoken(len(words), format, sound.USUAL_RATE if format == "pcm" else 0)
        query = {"model": model, **_FORMATS[format]}
        if speed := prompt.media.get("speed"):
            query["speed"] = str(speed)
        return Call(f"{self.base_url}/speak?{urlencode(query)}", {"text": words}, key_headers(key))


class DeepgramTranscription(Format):
    def call(self, prompt: Prompt, model: str, key: str) -> Call:
        """The recording is the body, or its address is."""
        part, language = sound.recording(prompt), string(prompt.media.get("language"))
        query = {"model": model, "smart_format": "true", "utterances": "true"}
        query |= {"language": language} if language else {"detect_language": "true"}
        if prompt.media.get("diarize"):
            query["diarize"] = "true"
        url = f"{self.base_url}/listen?{urlencode(query)}"
        if part.url and not part.data:
            return Call(url, {"url": part.url}, key_headers(key))
        headers = key_headers(key) | {"Content-Type": part.media_type}
        return Call(url, None, headers, content=sound.content(part))

    def decoder(self) -> Decoder:
        return whole_body.decoder(_transcript, "transcript")


def _transcript(document: Mapping[str, Any]) -> Iterator[Event]:
    """Channels of alternatives, of which the first is the best, and utterances over all channels."""
    results, metadata = mapping(document.get("results")), mapping(document.get("metadata"))
    best = [mapping(next(iter(mappings(channel.get("alternatives"))), None))
            for channel in mappings(results.get("channels"))]  # fmt: skip
    if not best:
        return
    if text := "\n".join(string(channel.get("transcript")) for channel in best).strip():
        yield Text(text)
    yield from _segments(results, best)
    seconds = measures.seconds(metadata.get("duration"))
    if seconds is not None:
        yield Usage(seconds=seconds)
    yield Done(Finish.STOP, "", _model(metadata), string(metadata.get("request_id")))


def _segments(results: Mapping[str, Any], best: list[dict[str, Any]]) -> Iterator[Segment]:
    if utterances := mappings(results.get("utterances")):
        yield from transcript.segments(utterances, "transcript")
        return
    for channel in best:
        yield from transcript.stretches(transcript.words(channel.get("words"), "punctuated_word", "word"))


def _model(metadata: Mapping[str, Any]) -> str:
    infos = [mapping(info) for info in mapping(metadata.get("model_info")).values()]
    return string(infos[0].get("name")) if infos else ""


class DeepgramModels(Format):
    """`{"stt": […], "tts": […]}`; a model is in it once for each version and language."""

    def list_call(self, key: str) -> Call:
        return Call(f"{self.base_url}/models", headers=key_headers(key), method="GET")

    def listed(self, body: bytes) -> list[ListedModel]:
        document = mapping(parse(body.decode("utf-8", "replace")))
        if not document.keys() & {"stt", "tts"}:
            raise failures.failure_in_answer(document)
        found: dict[str, ListedModel] = {}
        for kind, task in (("stt", Task.TRANSCRIPTION), ("tts", Task.SPEECH)):
            for model in mappings(document.get(kind)):
                name = string(model.get("canonical_name")) or string(model.get("name"))
                if name and (kind == "tts" or model.get("batch") is not False):
                    found.setdefault(name, ListedModel(name, string(model.get("name")), task=task))
        return list(found.values())
