"""Reading an InvokeModel answer of Bedrock, which is in the format of the model's maker, whole or streamed. A stream is
`{"chunk": {"bytes": base64 of a document}}`.

An answer does not name its model, so the format is told by what the first document looks like. Sources:
docs.aws.amazon.com/bedrock, “Inference request parameters and response fields”; recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from dataelan_web.router.providers.anthropic_messages_answer import MessagesAnswer
from dataelan_web.router.providers.bedrock_converse_answer import ConverseAnswer
from dataelan_web.router.providers.cohere_v1_answer import CohereV1Answer
from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.framing import Answer, Frame
from dataelan_web.router.providers.json_values import broken, count, first_count, mapping, mappings, parse, string
from dataelan_web.router.providers.media import decode_base64
from dataelan_web.router.providers.ndjson import cut_off
from dataelan_web.router.providers.openai_chat_answer import ChatAnswer
from dataelan_web.router.types import Done, Event, Failure, Finish, Text, Usage

METRICS = "amazon-bedrock-invocationMetrics"
GUARDRAIL = "amazon-bedrock-guardrailAction"

_MESSAGES = ("message", "content_block", "ping")
_CONVERSE = {"output", "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop"}
_COHERE = {"event_type", "is_finished", "generation_id", "generations"}
_PLAIN = {"generation", "outputText", "results", "outputs", "completion"}


class InvokeAnswer:
    """Adds what Bedrock itself says of an answer: what was counted, and that a guardrail stepped in."""

    def __init__(self) -> None:
        self._answer: Answer | None = None
        self._done: Done | None = None
        self._metrics = Usage()
        self._has_usage = self._is_blocked = False

    def read(self, frame: Frame) -> Iterator[Event]:
        document = mapping(frame.document)
        if not frame.whole:
            document = mapping(parse(_content(mapping(document.get("chunk")).get("bytes"))))
        self._note(document)
        if self._answer is None:
            self._answer = _reader(document, frame.whole)
        if self._answer is not None:
            yield from self._told(self._answer.read(Frame(document, frame.whole)))

    def end(self) -> Iterator[Event]:
        """A guardrail's words, which take the place of an answer, need not have a reason to stop."""
        try:
            yield from self._told(self._answer.end() if self._answer else _cut_off())
        except Failure:
            if not self._is_blocked:
                raise
        if not self._has_usage and self._metrics != Usage():
            yield self._metrics
        done = self._done or Done(Finish.OTHER)
        yield replace(done, finish=Finish.CONTENT_FILTER) if self._is_blocked else done

    def _told(self, events: Iterable[Event]) -> Iterator[Event]:
        """All but the end, which comes after what Bedrock has to say."""
        for event in events:
            if isinstance(event, Done):
                self._done = event
                continue
            self._has_usage = self._has_usage or isinstance(event, Usage)
            yield event

    def _note(self, document: Mapping[str, Any]) -> None:
        self._is_blocked = self._is_blocked or document.get(GUARDRAIL) == "INTERVENED"
        metrics = mapping(document.get(METRICS))
        self._metrics = self._metrics.updated(
            Usage(
                input=count(metrics.get("inputTokenCount")),
                cache_read=count(metrics.get("cacheReadInputTokenCount")),
                cache_write=count(metrics.get("cacheWriteInputTokenCount")),
                output=count(metrics.get("outputTokenCount")),
            )
        )


def _cut_off() -> Iterator[Event]:
    raise cut_off()


def _content(packed: Any) -> str:
    text = decode_base64(string(packed)).decode("utf-8", "replace")
    return text or "{}"


def _reader(document: Mapping[str, Any], whole: bool) -> Answer | None:
    """None for an event of a stream that says nothing of its format. Raises Failure for a body that is of none."""
    names = document.keys()
    if "choices" in names:
        return _OpenAIAnswer()
    if string(document.get("type")).startswith(_MESSAGES) or isinstance(document.get("content"), list):
        return MessagesAnswer()
    if names & _CONVERSE:
        return ConverseAnswer()
    if names & _COHERE:
        return CohereV1Answer()
    if names & _PLAIN:
        return _PlainAnswer()
    if is_error(document) or (whole and "message" in document):
        raise failure_in_answer(document)
    if whole:
        raise broken("The provider's answer is JSON, but in no format that a model of Bedrock answers in.")
    return None


class _OpenAIAnswer(ChatAnswer):
    """Chat completions as Mistral, DeepSeek, Qwen, gpt-oss and others write them here: a reason to stop may have
    another name, a delta may be called a message, and a message may be nothing but text."""

    def read(self, frame: Frame) -> Iterator[Event]:
        document = mapping(frame.document)
        choices = [_as_usual(choice, frame.whole) for choice in mappings(document.get("choices"))]
        yield from super().read(Frame({**document, "choices": choices}, frame.whole))


def _as_usual(choice: Mapping[str, Any], whole: bool) -> dict[str, Any]:
    usual = dict(choice)
    usual.setdefault("finish_reason", choice.get("stop_reason"))
    said = mapping(choice.get("message")) or ({"content": choice["text"]} if "text" in choice else {})
    if said:
        usual["message" if whole else "delta"] = said
    return usual


# -- formats of one text -----------------------------------------------------------------------------

_FINISHES: Mapping[str, Finish] = {
    "stop": Finish.STOP,  # Llama, Mistral
    "stop_sequence": Finish.STOP,  # Claude's old format
    "finish": Finish.STOP,  # Titan
    "finished": Finish.STOP,
    "stop_criteria_met": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "content_filtered": Finish.CONTENT_FILTER,
}


class _PlainAnswer:
    """Llama's `{"generation"}`, Titan's `{"results": [{"outputText"}]}` and in a stream `{"outputText"}`, Mistral's
    `{"outputs": [{"text"}]}`, Claude's old `{"completion"}`."""

    def __init__(self) -> None:
        self._finish = ""
        self._has_ended = False
        self._usage = Usage()

    def read(self, frame: Frame) -> Iterator[Event]:
        document = mapping(frame.document)
        if is_error(document):
            raise failure_in_answer(document)
        part = next(iter(mappings(document.get("results")) or mappings(document.get("outputs"))), document)
        words = (part.get(name) for name in ("generation", "outputText", "text", "completion"))
        if text := next(filter(None, map(string, words)), ""):
            yield Text(text)
        self._finish = string(part.get("stop_reason")) or string(part.get("completionReason")) or self._finish
        self._has_ended = self._has_ended or frame.whole or METRICS in document
        yield from self._cost(document, part)

    def end(self) -> Iterator[Event]:
        if not (self._has_ended or self._finish):
            raise cut_off()
        yield Done(_FINISHES.get(self._finish.lower(), Finish.OTHER), self._finish)

    def _cost(self, document: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[Usage]:
        """Counts come with the first piece, with the last, or grow from piece to piece."""
        read = map(document.get, ("prompt_token_count", "inputTextTokenCount"))
        written = (*map(document.get, ("generation_token_count", "totalOutputTextTokenCount")), part.get("tokenCount"))
        found = self._usage.updated(
            Usage(
                input=first_count(*map(count, read)),
                output=first_count(*map(count, written)),
            )
        )
        if found != self._usage:
            self._usage = found
            yield found
