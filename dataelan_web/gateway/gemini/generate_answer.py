"""Events → Gemini's GenerateContentResponse; every document of a stream has the form of the whole.

Source: googleapis/python-genai, types.GenerateContentResponse. Arguments of a call are an object there, so a streamed
call is told when it is whole. Our own facts stand in the last document as `dataelan`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...models.base import json_bytes
from ...models.records import RunRecord
from ...router.providers.gemini_answer import KIND
from ...router.providers.json_values import mapping, parse_or_none
from ...router.types import Asset, Done, Event, Failure, Finish, Reasoning, Text, ToolCall, Usage
from .. import errors
from ..inbound import WORDS, Likely, Pieces, Whole
from ..tool_calls import call_id

OWN = {"STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "LANGUAGE", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
       "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_OTHER", "NO_IMAGE",
       "IMAGE_RECITATION", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE",
       "MALFORMED_RESPONSE", "ESCALATION", "PUP_LIMITED_DISABLED", "CONTINUATION", "MODEL_ARMOR"}  # fmt: skip
"""types.FinishReason."""
ENDED = Done(Finish.STOP)
REASONS = {Finish.LENGTH: "MAX_TOKENS", Finish.CONTENT_FILTER: "SAFETY", Finish.OTHER: "OTHER"}


def document(whole: Whole) -> dict[str, Any]:
    thought = "".join(whole.answer.reasoning)
    parts: list[dict[str, Any]] = [{"text": thought, "thought": True}] if thought else []
    if whole.text or not (whole.answer.tool_calls or whole.assets) or WORDS in whole.sealed:
        parts.append({"text": whole.text} | _signature(whole.sealed.get(WORDS)))
    parts += map(_inline, whole.assets)
    calls = whole.answer.tool_calls.items()
    parts += [_call(whole.execution, index, call) | _signature(whole.sealed.get(index)) for index, call in calls]
    made = _document(whole.execution, whole.model, parts, whole.done or ENDED, whole.likely)
    return made | {"usageMetadata": usage_of(whole.usage)}


class Documents(Pieces):
    """One stream's documents: as messages (`alt=sse`), or else as the items of one list, which is Gemini's default."""

    def __init__(self, execution: RunRecord, model: str, *, is_sse: bool):
        self._execution, self._model, self._is_sse = execution, model, is_sse
        self._calls: dict[int, dict[str, str]] = {}
        self._seal: Reasoning | None = None
        """Of what comes next."""
        self._sealed: dict[int, Reasoning | None] = {}
        self._is_first = True

    def words(self, said: str) -> bytes:
        return self._part({"text": said} | self._signed())

    def of(self, event: Event) -> bytes:
        if isinstance(event, Reasoning):
            self._seal = event if event.seal else self._seal
            return self._part({"text": event.delta, "thought": True}) if event.delta else b""
        if isinstance(event, Text):
            return self._part({"text": event.delta} | self._signed(), event.logprobs)
        if isinstance(event, Asset):
            return self._part(_inline(event))
        if isinstance(event, ToolCall):
            if event.index not in self._calls:
                self._sealed[event.index], self._seal = self._seal, None
            call = self._calls.setdefault(event.index, {"id": "", "name": "", "arguments": ""})
            call["id"], call["name"] = call["id"] or event.id, call["name"] or event.name
            call["arguments"] += event.arguments
        return b""

    def last(self, done: Done | None, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        parts = [
            _call(self._execution, index, call) | _signature(self._sealed[index]) for index, call in self._calls.items()
        ]
        parts += [{"text": "", **signed}] if (signed := self._signed()) or not parts else []
        made = _document(self._execution, self._model, parts, done or ENDED)
        yield self._framed(made | {"usageMetadata": usage_of(usage), "dataelan": facts}) + self._end()

    def broken(self, failure: Failure, facts: dict[str, Any]) -> Iterator[bytes]:
        yield self._framed(errors.told(errors.of(failure)) | {"dataelan": facts}) + self._end()

    def _signed(self) -> dict[str, str]:
        seal, self._seal = self._seal, None
        return _signature(seal)

    def _part(self, part: dict[str, Any], likely: Likely = ()) -> bytes:
        return self._framed(_document(self._execution, self._model, [part], likely=likely))

    def _framed(self, made: dict[str, Any]) -> bytes:
        before = b"data: " if self._is_sse else b"[" if self._is_first else b",\r\n"
        self._is_first = False
        after = b"\r\n\r\n" if self._is_sse else b""
        return before + json_bytes(made) + after

    def _end(self) -> bytes:
        return b"" if self._is_sse else b"]"


def documents(*, is_sse: bool) -> Callable[[RunRecord, str], Documents]:
    return lambda execution, model: Documents(execution, model, is_sse=is_sse)


def usage_of(usage: Usage) -> dict[str, int]:
    """Gemini counts the cache within the prompt, and thoughts beside the candidates."""
    counts = {
        "promptTokenCount": usage.input_total,
        "candidatesTokenCount": usage.output or 0,
        "totalTokenCount": usage.input_total + usage.output_total,
        "cachedContentTokenCount": usage.cache_read or 0,
        "thoughtsTokenCount": usage.reasoning or 0,
    }
    return {name: count for name, count in counts.items() if count or name in list(counts)[:3]}


def _document(
    execution: RunRecord, model: str, parts: list[dict[str, Any]], done: Done | None = None, likely: Likely = ()
) -> dict[str, Any]:
    """`done`: why it ended, in the last document. Of a prompt that was blocked there is no candidate."""
    made = {"modelVersion": model, "responseId": execution.id.hex}
    if done and done.is_blocked:
        return made | {"promptFeedback": {"blockReason": done.raw}}
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0} | _told(likely)
    if done:
        candidate["finishReason"] = _reason(done)
    return {"candidates": [candidate], **made}


def _told(likely: Likely) -> dict[str, Any]:
    """How likely each token was; its number in Gemini's own list is not known here."""
    if not likely:
        return {}
    found = [one["logprob"] for one in likely if isinstance(one.get("logprob"), int | float)]
    others = [{"candidates": [_token(other) for other in one.get("top_logprobs") or ()]} for one in likely]
    told = {"chosenCandidates": [_token(one) for one in likely], "topCandidates": others}
    return {"avgLogprobs": sum(found) / len(found) if found else None, "logprobsResult": told}


def _token(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": one.get("token"), "logProbability": one.get("logprob")}


def _call(execution: RunRecord, index: int, call: dict[str, str]) -> dict[str, Any]:
    id = call["id"] or call_id(execution, index)
    return {"functionCall": {"id": id, "name": call["name"], "args": mapping(parse_or_none(call["arguments"]))}}


def _inline(made: Asset) -> dict[str, Any]:
    """A picture or a sound that the model made beside its words."""
    return {"inlineData": {"mimeType": made.media_type, "data": b64encode(made.content).decode()}}


def _signature(seal: Reasoning | None) -> dict[str, str]:
    """What another provider sealed is of no use to Gemini's clients."""
    return {"thoughtSignature": seal.seal} if seal and seal.kind == KIND else {}


def _reason(done: Done) -> str:
    """In the provider's own word, where that is one of these."""
    return done.raw if done.raw in OWN else REASONS.get(done.finish, "STOP")
