"""Reading a chat completion, whole or streamed, from OpenAI and from the many servers that imitate it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.json_values import (
    broken,
    compact,
    count,
    first_count,
    mapping,
    mappings,
    string,
)
from dataelan_web.router.providers.logprobs import Logprobs, of_openai
from dataelan_web.router.providers.measures import billed_usd, part_of
from dataelan_web.router.providers.media import asset_from_data_url, decode_base64, sniffed
from dataelan_web.router.types import (
    Asset,
    Done,
    Event,
    Failure,
    Finish,
    Kind,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Usage,
)
from dataelan_web.router.usage import UNKNOWN

CUT_OFF = "The provider's answer broke off before its end."

_FINISHES: Mapping[str, Finish] = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,  # Together
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,  # Mistral
    "tool_calls": Finish.TOOL_CALLS,
    "tool_use": Finish.TOOL_CALLS,
    "function_call": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
    "sensitive": Finish.CONTENT_FILTER,  # Z.ai
}

_WORDS = {"role", "content"}
_PLAIN = {"id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint", "obfuscation"}
_PLAIN_CHOICE = {"index": 0, "delta": None, "finish_reason": None, "logprobs": None}
"""One that says nothing beside its delta: each of these may be missing."""

# The model did not stop, the server did: OpenRouter, Mistral, Z.ai; DeepSeek.
_FAILED_FINISHES = ("error", "network_error", "insufficient_system_resource")


class ChatAnswer:
    """The documents of one answer, in order, as Events. Only the first choice is read: we never ask for more."""

    def __init__(self) -> None:
        self._model = self._id = self._finish = ""
        self._closed = self._done = self._spoken = self._is_known = False
        self._calls = _Calls()
        self._sound = bytearray()
        self._usage: Usage | None = None

    def read(self, frame: Frame) -> Iterable[Event]:
        if self._is_known and (words := _plain_words(frame)):
            self._spoken = True
            return (Text(words),)
        if self._done:
            return ()
        if frame.done:
            self._closed = True
            return self.end()
        return self._events(frame)

    def _events(self, frame: Frame) -> Iterator[Event]:
        document = mapping(frame.document)
        self._refuse_errors(document)
        choices = mappings(document.get("choices"))
        if frame.whole and not choices:
            raise broken("The provider's answer is JSON, but not a chat completion. Check the base URL.")
        self._model = self._model or string(document.get("model"))
        self._id = self._id or string(document.get("id"))
        self._is_known = bool(self._id and self._model)
        for choice in choices:
            if not count(choice.get("index")):
                yield from self._choice(choice, frame.whole)
                break
        yield from self._cost(document)
        self._closed = self._closed or frame.whole

    def end(self) -> Iterator[Event]:
        """A finish reason or [DONE] is an end; many servers leave out one of them, a broken line both."""
        if self._done:
            return
        if not (self._closed or self._finish):
            raise Failure(Kind.TRANSIENT, CUT_OFF, code="cut_off")
        self._done, self._is_known = True, False
        if self._sound:
            yield Asset(sniffed(bytes(self._sound), otherwise="audio/L16"), bytes(self._sound))
        yield Done(self._normalised(), self._finish, self._model, self._id)

    def _normalised(self) -> Finish:
        finish = _FINISHES.get(self._finish.lower(), Finish.OTHER)
        # Ollama, and OpenAI when a function was demanded by name, say "stop" after a tool call.
        return Finish.TOOL_CALLS if finish is Finish.STOP and self._calls.any else finish

    def _refuse_errors(self, document: Mapping[str, Any]) -> None:
        if is_error(document):
            raise failure_in_answer(document)
        if "choices" not in document and ("detail" in document or "message" in document):
            raise failure_in_answer(document)

    def _choice(self, choice: Mapping[str, Any], whole: bool) -> Iterator[Event]:
        if is_error(choice):
            raise failure_in_answer(choice)
        told = choice.get("logprobs")
        likely = of_openai(mapping(told).get("content")) if told else ()
        yield from self._message(self._said(choice, whole), likely)
        if finish := string(choice.get("finish_reason")):
            self._finish = finish
        if finish in _FAILED_FINISHES:
            raise Failure(Kind.TRANSIENT, "The provider broke off its answer because of an error.", code=finish)

    def _said(self, choice: Mapping[str, Any], whole: bool) -> Mapping[str, Any]:
        """The piece that is new. Perplexity repeats the whole `message` beside each `delta`."""
        message = mapping(choice.get("message"))
        if whole:
            return message or mapping(choice.get("delta"))
        delta = choice.get("delta")
        if isinstance(delta, dict):
            return delta
        return {} if self._spoken else message  # a stream that is one complete answer

    def _message(self, message: Mapping[str, Any], likely: Logprobs = ()) -> Iterator[Event]:
        """`likely`: how likely each token of its words was. They may hold no whole letter."""
        for event in self._pieces(message):
            self._spoken = True
            if likely and type(event) is Text:
                event, likely = Text(event.delta, likely), ()
            yield event
        if likely:
            yield Text("", likely)

    def _pieces(self, message: Mapping[str, Any]) -> Iterator[Event]:
        if message.keys() <= _WORDS:  # as most pieces are, of which there are thousands
            yield from _content(message.get("content"))
            return
        if thought := _reasoning(message):
            yield Reasoning(thought)
        yield from _content(message.get("content"))
        if refusal := string(message.get("refusal")):
            yield Refusal(refusal)
        for image in mappings(message.get("images")):
            yield from _image(image)
        if sound := string(mapping(message.get("audio")).get("data")):
            self._sound += decode_base64(sound)
        yield from self._calls.read(message)

    def _cost(self, document: Mapping[str, Any]) -> Iterator[Usage]:
        """Usage comes in its own last document, in every document (Perplexity), or in Groq's own place."""
        if not (document.get("usage") or document.get("x_groq")):
            return
        reported = mapping(document.get("usage")) or mapping(mapping(document.get("x_groq")).get("usage"))
        if not reported:
            return
        usage = usage_of(reported)
        if usage.counters != UNKNOWN.counters and usage != self._usage:
            self._usage = usage
            yield usage


class _Calls:
    """Numbers the tool calls of an answer. The number on the wire may be missing (Mistral, older Ollama) or be the
    same for several calls (Gemini's imitation), so that a new id begins a new call too."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._numbers: dict[int, int] = {}

    @property
    def any(self) -> bool:
        return bool(self._ids)

    def read(self, message: Mapping[str, Any]) -> Iterator[ToolCall]:
        for piece in mappings(message.get("tool_calls")):
            yield from self._piece(piece)
        if legacy := mapping(message.get("function_call")):
            yield from self._piece({"index": 0, "function": legacy})

    def _piece(self, piece: Mapping[str, Any]) -> Iterator[ToolCall]:
        function = mapping(piece.get("function")) or mapping(piece.get("custom"))
        call_id, name = string(piece.get("id")), string(function.get("name"))
        arguments = function.get("arguments", function.get("input"))
        text = compact(arguments) if isinstance(arguments, dict | list) else string(arguments)
        if not (call_id or name or text):
            return
        known = len(self._ids)
        number = self._number(count(piece.get("index")), call_id, name)
        # An id that is repeated with each piece (some servers do) is passed on once.
        first = number == known or not self._ids[number]
        self._ids[number] = self._ids[number] or call_id
        yield ToolCall(number, call_id if first else "", name if number == known else "", text)

    def _number(self, index: int | None, id: str, name: str) -> int:
        number = self._numbers.get(index) if index is not None else self._same(id, name)
        if number is None or (id and name and self._ids[number] and self._ids[number] != id):
            self._ids.append("")
            number = len(self._ids) - 1
        if index is not None:
            self._numbers[index] = number
        return number

    def _same(self, id: str, name: str) -> int | None:
        if id:
            return self._ids.index(id) if id in self._ids else None
        return len(self._ids) - 1 if self._ids and not name else None


def _reasoning(message: Mapping[str, Any]) -> str:
    """Servers say the same thought under up to three names at once; one of them is enough."""
    for name in ("reasoning_content", "reasoning"):
        if thought := string(message.get(name)):
            return thought
    details = mappings(message.get("reasoning_details"))
    return "".join(string(detail.get("text")) or string(detail.get("summary")) for detail in details)


def _plain_words(frame: Frame) -> str:
    """Those of a piece that holds nothing else, as most do, of which there are thousands: it need not be looked
    through. Empty for any other."""
    document = frame.document
    try:
        (choice,) = document["choices"]
        delta = choice["delta"]
        words = delta["content"]
    except (KeyError, TypeError, ValueError):  # such as no object where there should be one
        return ""
    is_plain = (
        document.keys() <= _PLAIN
        and delta.keys() <= _WORDS
        and {**_PLAIN_CHOICE, **choice, "delta": None} == _PLAIN_CHOICE
        and not (document.get("usage") or document.get("object") == "error" or frame.whole)
    )
    return string(words) if is_plain else ""


def _content(content: Any) -> Iterator[Event]:
    if isinstance(content, str):
        if text := string(content):
            yield Text(text)
        return
    if isinstance(content, dict):  # Cloudflare: an answer to a schema comes parsed
        yield Text(compact(content))
    for part in mappings(content):
        yield from _content_part(part)


def _content_part(part: Mapping[str, Any]) -> Iterator[Event]:
    """A part of a content list: Mistral's thinking models, and servers that answer with images."""
    thinking = part.get("thinking")
    thought = string(thinking) or "".join(string(piece.get("text")) for piece in mappings(thinking))
    if thought:
        yield Reasoning(thought)
    if text := string(part.get("text")):
        yield Text(text)
    if part.get("type") == "image_url":
        yield from _image(part)


def _image(part: Mapping[str, Any]) -> Iterator[Asset]:
    place = part.get("image_url")
    found = asset_from_data_url(string(place) or string(mapping(place).get("url")))
    if found:
        yield found


def usage_of(reported: Mapping[str, Any]) -> Usage:
    """Five disjoint counters. Input includes cache reads and writes, output includes reasoning - nearly always:
    xAI leaves reasoning out of `completion_tokens` and Mistral sound out of `prompt_tokens`, which shows in a
    `total_tokens` that is larger than their sum. Parts larger than their whole are cut to it."""
    inputs, outputs = mapping(reported.get("prompt_tokens_details")), mapping(reported.get("completion_tokens_details"))
    prompt, completion = count(reported.get("prompt_tokens")), count(reported.get("completion_tokens"))
    reasoning = first_count(outputs.get("reasoning_tokens"), reported.get("reasoning_tokens"))
    read = first_count(
        inputs.get("cached_tokens"),
        reported.get("prompt_cache_hit_tokens"),  # DeepSeek
        reported.get("num_cached_tokens"),  # Mistral
        reported.get("cached_tokens"),  # Moonshot, Together
        reported.get("cache_read_input_tokens"),
    )
    written = first_count(inputs.get("cache_write_tokens"), reported.get("cache_creation_input_tokens"))
    total = count(reported.get("total_tokens"))
    if prompt is not None and completion is not None and total is not None and total > prompt + completion:
        surplus = total - prompt - completion
        hidden = min(surplus, reasoning or 0)
        completion += hidden
        prompt += min(surplus - hidden, count(inputs.get("audio_tokens")) or 0)
    if prompt is not None:
        read = None if read is None else min(read, prompt)
        written = None if written is None else min(written, prompt - (read or 0))
        prompt -= (read or 0) + (written or 0)
    if completion is not None:
        reasoning = None if reasoning is None else min(reasoning, completion)
        completion -= reasoning or 0
    return Usage(
        prompt,
        read,
        written,
        completion,
        reasoning,
        input_audio=part_of(prompt, inputs.get("audio_tokens")),
        input_image=part_of(prompt, inputs.get("image_tokens")),
        output_audio=part_of(completion, outputs.get("audio_tokens")),
        output_image=part_of(completion, outputs.get("image_tokens")),
        billed_usd=billed_usd(reported),
    )
