"""Reading a transcript in OpenAI's forms: `json`, `verbose_json`, `diarized_json`, plain text, and as a stream; and
those of Mistral, Groq, xAI and OpenRouter (recorded traffic)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers import failures, measures, transcript
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.json_values import broken, first_count, mapping, string
from dataelan_web.router.providers.openai_chat_answer import CUT_OFF
from dataelan_web.router.types import Done, Event, Failure, Finish, Kind, Segment, Text, Usage

# OpenAI's and Mistral's names of the same events.
_DELTAS = ("transcript.text.delta", "transcription.text.delta")
_SEGMENTS = ("transcript.text.segment", "transcription.segment")
_ENDS = ("transcript.text.done", "transcription.done")


class TranscriptAnswer:
    def __init__(self) -> None:
        self._model = self._id = ""
        self._is_whole = self._has_text = self._has_segments = False

    def raw(self, body: bytes) -> Iterator[Event]:
        """The forms `text`, `srt` and `vtt` are the transcript itself."""
        self._is_whole = True
        yield Text(string(body.decode("utf-8", "replace")))

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._is_whole:
            return
        document = mapping(frame.document)
        if failures.is_error(document):
            raise failures.failure_in_answer(document)
        if "text" not in document and ("detail" in document or "message" in document):
            raise failures.failure_in_answer(document)
        type = string(document.get("type"))
        if type in _DELTAS:
            yield from self._text(string(document.get("delta")) or string(document.get("text")))
        elif type in _SEGMENTS:
            yield from self._segments(transcript.segments([document]))
        elif frame.whole or type in _ENDS:
            yield from self._all(document)
        self._is_whole = self._is_whole or frame.done

    def end(self) -> Iterator[Event]:
        if not self._is_whole:
            raise Failure(Kind.TRANSIENT, CUT_OFF, code="cut_off")
        yield Done(Finish.STOP, "", self._model, self._id)

    def _all(self, document: Mapping[str, Any]) -> Iterator[Event]:
        """A whole answer, or the last event of a stream, which repeats everything."""
        if not isinstance(document.get("text"), str):
            raise broken("The provider's answer is JSON, but not a transcript. Check the base URL.")
        self._is_whole = True
        self._model, self._id = string(document.get("model")), string(document.get("id"))
        if not self._has_text:
            yield from self._text(string(document["text"]))
        if not self._has_segments:
            yield from self._segments(_segments(document))
        usage = usage_of(document)
        if usage != Usage():
            yield usage

    def _text(self, text: str) -> Iterator[Event]:
        if text:
            self._has_text = True
            yield Text(text)

    def _segments(self, found: Iterator[Segment]) -> Iterator[Event]:
        for segment in found:
            self._has_segments = True
            yield segment


def _segments(document: Mapping[str, Any]) -> Iterator[Segment]:
    """As the provider cut them, or made of its words: whisper-1 says `word`, xAI `text`."""
    if document.get("segments"):
        return transcript.segments(document["segments"])
    return transcript.stretches(transcript.words(document.get("words"), "word", "text"))


def usage_of(document: Mapping[str, Any]) -> Usage:
    """OpenAI bills either tokens or seconds and says which; Mistral says both, OpenRouter the price too. Who says
    nothing of it (xAI, whisper servers) at least tells how long the recording was."""
    reported = mapping(document.get("usage"))
    details = mapping(reported.get("input_token_details")) or mapping(reported.get("prompt_tokens_details"))
    input = first_count(reported.get("input_tokens"), reported.get("prompt_tokens"))
    return Usage(
        input=input,
        output=first_count(reported.get("output_tokens"), reported.get("completion_tokens")),
        input_audio=measures.part_of(input, details.get("audio_tokens")),
        seconds=measures.seconds(
            reported.get("seconds"), reported.get("prompt_audio_seconds"), document.get("duration")
        ),
        billed_usd=measures.billed_usd(reported),
    )
