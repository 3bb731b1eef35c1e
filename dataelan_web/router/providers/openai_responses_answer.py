"""Reading a response of OpenAI's Responses format: whole, streamed as typed events, or polled until it is done.

An answer is a list of items (messages, thoughts, calls of tools), each made of parts. In a stream every text comes
three times: in pieces, whole when its part ends, and again with its item. Servers leave out one or another of these,
so that whatever comes whole adds what has not been said yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from dataelan_web.router.providers.background import WAITING, Background
from dataelan_web.router.providers.failures import failure_in_answer, is_error
from dataelan_web.router.providers.framing import Frame
from dataelan_web.router.providers.jobs import cancelled
from dataelan_web.router.providers.json_values import broken, compact, count, mapping, mappings, string
from dataelan_web.router.providers.logprobs import Logprobs, of_openai
from dataelan_web.router.providers.media import decode_base64, sniffed
from dataelan_web.router.providers.openai_chat_answer import CUT_OFF, usage_of
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

POLL_SECONDS = 2.0
KIND = "openai-responses"
BROKE_OFF = "The provider broke off its answer because of an error."

_INCOMPLETE: Mapping[str, Finish] = {
    "max_output_tokens": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "length": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
}

# Events that bring a piece of a text, and those that bring it whole; both -> what kind of text, which of its fields.
_PIECES = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "thought",
    "response.reasoning_summary_text.delta": "summary",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "arguments",
}
_WHOLES = {
    "response.output_text.done": ("text", "text"),
    "response.refusal.done": ("refusal", "refusal"),
    "response.reasoning_text.done": ("thought", "text"),
    "response.reasoning_summary_text.done": ("summary", "text"),
    "response.function_call_arguments.done": ("arguments", "arguments"),
    "response.custom_tool_call_input.done": ("arguments", "input"),
}
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")

Place = int | str
"""Where an item is in the answer: its number, or its id with servers that do not number."""


class ResponsesAnswer:
    def __init__(self, base_url: str) -> None:
        self._background = Background(f"{base_url}/responses", POLL_SECONDS)
        self._base_url = base_url
        self._model = self._id = ""
        self._done = False
        self._said = _Said()
        self._calls: dict[Place, int] = {}

    def read(self, frame: Frame) -> Iterator[Event]:
        if self._done or frame.done:
            return
        document = mapping(frame.document)
        if frame.whole:
            yield from self._whole(document)
            return
        if is_error(document):
            raise failure_in_answer(document)
        yield from self._event(string(document.get("type")), document)

    def end(self) -> Iterator[Event]:
        """Only a status says that an answer is whole; [DONE] is left out by OpenAI itself."""
        if not (self._done or self._background.is_waiting):
            raise Failure(Kind.TRANSIENT, CUT_OFF, code="cut_off")
        self._background.is_waiting = False
        return iter(())

    # -- documents -----------------------------------------------------------------------------

    def _whole(self, document: Mapping[str, Any]) -> Iterator[Event]:
        id, status = string(document.get("id")), string(document.get("status"))
        if status in WAITING and id:
            yield from self._background.wait(id, status)
            return
        if (is_error(document) and status != "failed") or (not status and document.keys() & {"detail", "message"}):
            raise failure_in_answer(document)
        if status not in ("failed", "cancelled") and not isinstance(document.get("output"), list):
            raise broken("The provider's answer is JSON, but not a response. Check the base URL.")
        yield from self._response(document)

    def _event(self, type: str, event: Mapping[str, Any]) -> Iterator[Event]:
        if response := mapping(event.get("response")):
            self._know(response)
        if type in _ENDS:
            yield from self._response(response)
        elif type in ("response.output_item.added", "response.output_item.done"):
            item = mapping(event.get("item"))
            yield from self._item(_place(event, item), item, is_whole=type.endswith("done"))
        elif type in _PIECES:
            place, part = _place(event), _part(event)
            kind, delta = _PIECES[type], string(event.get("delta"))
            if delta and self._said.add(place, kind, part, delta):
                yield self._words(place, kind, delta, of_openai(event.get("logprobs")))
        elif type in _WHOLES:
            kind, field = _WHOLES[type]
            yield from self._rest(_place(event), kind, _part(event), string(event.get(field)))

    def _response(self, response: Mapping[str, Any]) -> Iterator[Event]:
        """The answer as it is at its end. ChatGPT leaves its items out here; a whole answer says them only here."""
        self._know(response)
        if not self._said.anything:
            for number, item in enumerate(mappings(response.get("output"))):
                yield from self._item(number, item)
        yield from self._background.cost(_usage(mapping(response.get("usage"))))
        self._refuse_failures(response)
        self._done = True
        reason = string(mapping(response.get("incomplete_details")).get("reason"))
        raw = reason or string(response.get("status"))
        yield Done(self._finish(raw), raw, self._model, self._id)

    def _finish(self, raw: str) -> Finish:
        if raw not in ("completed", ""):
            return _INCOMPLETE.get(raw, Finish.OTHER)
        return Finish.TOOL_CALLS if self._calls else Finish.STOP

    def _refuse_failures(self, response: Mapping[str, Any]) -> None:
        status = string(response.get("status"))
        if status == "cancelled":
            raise cancelled()
        if status == "failed" or is_error(response):
            raise self._background.failure(response.get("error") or BROKE_OFF)

    def _know(self, response: Mapping[str, Any]) -> None:
        self._model = string(response.get("model")) or self._model
        self._id = string(response.get("id")) or self._id

    # -- items and their parts -----------------------------------------------------------------

    def _item(self, place: Place, item: Mapping[str, Any], *, is_whole: bool = True) -> Iterator[Event]:
        """An item that begins, ends, or is there as a whole. Calls of tools that the provider runs itself (web search,
        code interpreter, MCP …) are not ours to answer."""
        match item.get("type"):
            case "message":
                yield from self._message(place, item)
            case "reasoning":
                for kind, parts in (("summary", item.get("summary")), ("thought", item.get("content"))):
                    for number, part in enumerate(mappings(parts)):
                        yield from self._rest(place, kind, number, string(part.get("text")))
                seal = string(item.get("encrypted_content"))
                if seal and is_whole and self._said.first(place, "seal"):  # one that begins has another
                    yield Reasoning("", sealed_at(self._base_url, string(item.get("id")), seal), KIND)
            case "function_call" | "custom_tool_call":
                yield from self._call(place, item)
            case "image_generation_call" if string(item.get("result")) and self._said.first(place, "picture"):
                yield _picture(item)

    def _message(self, place: Place, item: Mapping[str, Any]) -> Iterator[Event]:
        content = item.get("content")
        parts = [{"type": "output_text", "text": content}] if isinstance(content, str) else mappings(content)
        for number, part in enumerate(parts):
            if part.get("type") == "refusal":
                yield from self._rest(place, "refusal", number, string(part.get("refusal")))
            else:
                likely = of_openai(part.get("logprobs"))
                yield from self._rest(place, "text", number, string(part.get("text")), likely)

    def _call(self, place: Place, item: Mapping[str, Any]) -> Iterator[Event]:
        call_id, name = string(item.get("call_id")) or string(item.get("id")), string(item.get("name"))
        if name and self._said.first(place, "name"):
            yield ToolCall(self._number(place), call_id, name)
        arguments = item.get("arguments", item.get("input"))
        text = compact(arguments) if isinstance(arguments, dict) else string(arguments)
        yield from self._rest(place, "arguments", 0, text)

    def _rest(self, place: Place, kind: str, part: int, whole: str, likely: Logprobs = ()) -> Iterator[Event]:
        """What of a text that is now whole has not been said in pieces. `likely`: of each token of the whole."""
        rest = self._said.rest(place, kind, part, whole)
        if rest and self._said.add(place, kind, part, rest):
            yield self._words(place, kind, rest, likely if rest == whole else ())

    def _words(self, place: Place, kind: str, words: str, likely: Logprobs = ()) -> Event:
        match kind:
            case "arguments":
                return ToolCall(self._number(place), arguments=words)
            case "refusal":
                return Refusal(words)
            case "text":
                return Text(words, likely)
        return Reasoning(words)

    def _number(self, place: Place) -> int:
        return self._calls.setdefault(place, len(self._calls))


NAMED_BY_US = "at:"
"""A colon is in no base64."""


def sealed_at(base_url: str, id: str, content: str) -> str:
    """A sealed thought with whose it is: its provider's host, and its id there."""
    return f"{NAMED_BY_US}{urlsplit(base_url).netloc}/{id}/{content}"


def opened_at(base_url: str, seal: str) -> tuple[str, str] | None:
    """(id, sealed content), as that host is to be told it; None for what another sealed."""
    host, _, rest = seal.removeprefix(NAMED_BY_US).partition("/")
    id, _, content = rest.partition("/")
    return (id, content) if content and host == urlsplit(base_url).netloc else None


class _Said:
    """What was said of each part of each item, so that nothing is said twice."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[Place, str, int], list[str]] = {}
        self._thoughts: dict[Place, str] = {}

    @property
    def anything(self) -> bool:
        return bool(self._pieces)

    def first(self, place: Place, kind: str) -> bool:
        """Of what comes in one piece: is this the first time?"""
        is_new = (place, kind, 0) not in self._pieces
        self._pieces.setdefault((place, kind, 0), [])
        return is_new

    def add(self, place: Place, kind: str, part: int, words: str) -> bool:
        """False: not to be said, as this thought is already being told in its other form (summary or whole)."""
        if kind in ("summary", "thought") and self._thoughts.setdefault(place, kind) != kind:
            return False
        self._pieces.setdefault((place, kind, part), []).append(words)
        return True

    def rest(self, place: Place, kind: str, part: int, whole: str) -> str:
        said = "".join(self._pieces.get((place, kind, part), ()))
        return whole[len(said) :] if whole.startswith(said) else ""


def _picture(item: Mapping[str, Any]) -> Asset:
    content, form = decode_base64(string(item.get("result"))), string(item.get("output_format"))
    return Asset(sniffed(content, otherwise=f"image/{form or 'png'}"), content, string(item.get("revised_prompt")))


def _place(event: Mapping[str, Any], item: Mapping[str, Any] | None = None) -> Place:
    number = count(event.get("output_index"))
    return string(event.get("item_id")) or string((item or {}).get("id")) if number is None else number


def _part(event: Mapping[str, Any]) -> int:
    return count(event.get("summary_index")) or count(event.get("content_index")) or 0


def _usage(reported: Mapping[str, Any]) -> Usage:
    """The facts of a chat completion under newer names."""
    return usage_of(
        {
            **reported,
            "prompt_tokens": reported.get("input_tokens"),
            "completion_tokens": reported.get("output_tokens"),
            "total_tokens": reported.get("total_tokens"),
            "prompt_tokens_details": reported.get("input_tokens_details"),
            "completion_tokens_details": reported.get("output_tokens_details"),
        }
    )
