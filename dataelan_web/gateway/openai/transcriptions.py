"""POST /v1/audio/transcriptions. Source: openai/openai-openapi, CreateTranscriptionRequest and its answers."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from flask import Response
from pydantic import Field
from werkzeug.datastructures import FileStorage, MultiDict

from ...models import ModelType
from ...models.records import RunRecord
from ...router.providers.media import sniffed
from ...router.types import Done, Event, Failure, FilePart, Message, Prompt, Segment, Task, Text, TextPart, Usage
from .. import errors
from ..errors import Refused
from ..inbound import Inbound, Pieces, Whole
from ..json_body import Strict, checked, storable, unsupported
from ..sse import event as sse

LISTED_BY_ONE = ("keywords", "languages", "known_speaker_names", "known_speaker_references")
TIMED = ("verbose_json", "srt", "vtt")


class TranscriptionRequest(Strict):
    model: str = Field(default="auto", min_length=1, max_length=200)
    language: str | None = Field(default=None, max_length=20)
    prompt: str | None = Field(default=None, max_length=100_000)
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"] = "json"
    temperature: float | None = Field(default=None, ge=0, le=1)
    stream: bool | None = None
    timestamp_granularities: list[str] = Field(default_factory=list)
    include: list[str] = Field(default_factory=list)
    chunking_strategy: str | None = None
    keywords: list[str] = Field(default_factory=list)
    languages: list[str] = Field(default_factory=list)
    known_speaker_names: list[str] = Field(default_factory=list)
    known_speaker_references: list[str] = Field(default_factory=list)

    @property
    def media(self) -> dict[str, Any]:
        said = {
            "language": self.language,
            "timestamps": self.response_format in TIMED or bool(self.timestamp_granularities),
            "diarize": self.response_format == "diarized_json",
        }
        return {name: value for name, value in said.items() if value}


def read(form: MultiDict[str, str], files: MultiDict[str, FileStorage]) -> Inbound:
    """Raises Refused (400) naming the first field that is wrong."""
    asked = checked(storable(_fields(form)), TranscriptionRequest)
    if "word" in asked.timestamp_granularities:
        raise unsupported("timestamp_granularities", "times are told of stretches of speech, not of single words.")
    if asked.include:
        raise unsupported("include", "probabilities of tokens are not passed on here.")
    if asked.chunking_strategy not in (None, "auto"):
        raise unsupported("chunking_strategy", "where a recording is cut is not passed on here: only “auto” is.")
    for name in LISTED_BY_ONE:
        if getattr(asked, name):
            raise unsupported(name, "only one provider knows this parameter; say it in the prompt.")
    words = (TextPart(asked.prompt),) if asked.prompt else ()
    prompt = Prompt(
        (Message("user", (*words, _recording(files.get("file")))),),
        Task.TRANSCRIPTION,
        asked.media,
        temperature=asked.temperature,
        stream=bool(asked.stream),
    )
    whole = partial(_answer, asked.response_format, asked.language)
    return Inbound(asked.model, prompt, whole, Transcript, ModelType.VOICE)


def _fields(form: MultiDict[str, str]) -> dict[str, Any]:
    """What a form can only say as text, as what it is; a field may come without a name. Raises Refused (400)."""
    said: dict[str, Any] = {name: value for name, value in form.items() if name and not name.endswith("[]")}
    for name in ("timestamp_granularities", "include", *LISTED_BY_ONE):
        said[name] = form.getlist(f"{name}[]") or form.getlist(name)
    if "stream" in said:
        said["stream"] = {"true": True, "false": False}.get(said["stream"].lower(), said["stream"])
    try:
        return said | ({"temperature": float(said["temperature"])} if said.get("temperature") else {})
    except ValueError:
        raise Refused(400, "temperature: it has to be a number.", "invalid_value", "temperature") from None


def _recording(file: FileStorage | None) -> FilePart:
    content = file.read() if file else b""
    if file is None or not content:
        raise Refused(400, "file: a recording is needed, as a file of the form.", "invalid_value", "file")
    media_type = sniffed(content, file.mimetype or "")
    if not media_type.startswith(("audio/", "video/")):
        raise Refused(400, "file: this is no sound or film that is known here.", "invalid_value", "file")
    return FilePart(media_type, b64encode(content).decode(), name=storable(file.filename or "")[:200])


# -- the answer ----------------------------------------------------------------------------------


def _answer(format: str, language: str | None, whole: Whole) -> dict[str, Any] | Response:
    text, segments = whole.text.strip(), whole.answer.segments
    seconds = float(whole.usage.seconds or (segments[-1].end if segments else 0))
    if format in TIMED[1:]:
        untimed = [Segment(text, 0, seconds)] if text else []  # not every model tells times
        return Response(_subtitles(segments or untimed, is_vtt=format == "vtt"), mimetype="text/plain")
    if format == "text":
        return Response(f"{text}\n", mimetype="text/plain")
    made: dict[str, Any] = {"text": text, "usage": usage_of(whole.usage)}
    if format == "json":
        return made
    stretches = [_segment(number, one, format) for number, one in enumerate(segments)]
    return {"task": "transcribe", "language": language or "", "duration": seconds, "segments": stretches, **made}


def _segment(number: int, one: Segment, format: str) -> dict[str, Any]:
    said: dict[str, Any] = {"id": number, "start": one.start, "end": one.end, "text": one.text}
    if format == "diarized_json":
        return said | {"type": "transcript.text.segment", "id": f"seg_{number}", "speaker": one.speaker}
    return said


def _subtitles(segments: list[Segment], *, is_vtt: bool) -> str:
    """SRT numbers its stretches and has commas in its times, WebVTT a head and points."""
    lines = ["WEBVTT", ""] if is_vtt else []
    for number, one in enumerate(segments, 1):
        times = f"{_clock(one.start)} --> {_clock(one.end)}"
        lines += [*([] if is_vtt else [str(number)]), times if is_vtt else times.replace(".", ","), one.text, ""]
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    """Rounded as a whole: 59.9996 s are a minute, and no 60 seconds."""
    minutes, thousandths = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{thousandths / 1000:06.3f}"


def usage_of(usage: Usage) -> dict[str, Any]:
    if usage.seconds is not None and not usage.input_total:
        return {"type": "duration", "seconds": float(usage.seconds)}
    counts = {"input_tokens": usage.input_total, "output_tokens": usage.output_total}
    return {"type": "tokens", **counts, "total_tokens": usage.input_total + usage.output_total}


class Transcript(Pieces):
    def __init__(self, execution: RunRecord, model: str):
        self._text: list[str] = []
        self._segments = 0

    def of(self, event: Event) -> bytes:
        if isinstance(event, Segment):
            self._segments += 1
            return sse(_segment(self._segments - 1, event, "diarized_json"))
        if not isinstance(event, Text):
            return b""
        self._text.append(event.delta)
        return sse({"type": "transcript.text.delta", "delta": event.delta})

    def last(self, done: Done | None, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        said = {"text": "".join(self._text).strip(), "usage": usage_of(usage), "dataelan": facts}
        yield sse({"type": "transcript.text.done", **said})

    def broken(self, failure: Failure, facts: dict[str, Any]) -> Iterator[bytes]:
        yield sse({"type": "error", **errors.told(errors.of(failure)), "dataelan": facts})
