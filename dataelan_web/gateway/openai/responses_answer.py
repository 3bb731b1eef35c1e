"""Events → OpenAI's Response, whole or as its typed events.

Source: openai/openai-openapi, Response and ResponseStreamEvent. Our own facts stand in the response of the last
event as `dataelan`, since a stream's headers go out before its cost is known.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...models.records import RunRecord
from ...router.providers.openai_responses_answer import KIND
from ...router.types import Asset, Done, Event, Failure, Finish, Reasoning, Refusal, Text, ToolCall, Usage
from .. import errors
from ..inbound import WORDS, Likely, Pieces, Whole
from ..sse import event as sse
from ..tool_calls import call_id
from .chat_answer import written

INCOMPLETE = {Finish.LENGTH: "max_output_tokens", Finish.CONTENT_FILTER: "content_filter"}
Echo = dict[str, Any]
"""What the request said, which a response says again."""


def response(echo: Echo, whole: Whole) -> dict[str, Any]:
    answer, execution, items = whole.answer, whole.execution, list[_Item]()
    led_to = {id(seal): index for index, seal in whole.sealed.items() if index != WORDS}
    thoughts: dict[int, list[_Item]] = {}
    for number, (said, sealed) in enumerate(whole.told_thoughts(KIND)):
        item = _Item("reasoning", f"rs_{execution.id.hex}{f'_{number}' if number else ''}", said)
        item.seal = sealed.seal if sealed else ""
        thoughts.setdefault(led_to.get(id(sealed), WORDS), []).append(item)
    items += thoughts.get(WORDS, [])
    if whole.text:
        kind = "refusal" if answer.is_refusal else "text"
        items.append(_Item(kind, f"msg_{execution.id.hex}", whole.text, likely=whole.likely))
    items += [_picture(execution, number, one) for number, one in enumerate(whole.assets) if _is_picture(one)]
    for index, call in answer.tool_calls.items():
        named = call["id"] or call_id(execution, index)
        items += thoughts.get(index, [])
        items.append(_Item("call", f"fc_{execution.id.hex}_{index}", call["arguments"], named, call["name"]))
    return _ended(execution, whole.model, echo, [item.document("completed") for item in items], whole.done, whole.usage)


def _is_picture(event: Event) -> bool:
    return isinstance(event, Asset) and event.media_type.startswith("image/")


@dataclass
class _Item:
    """One item of the output, and what has been said of it."""

    kind: str
    id: str
    said: str = ""
    call_id: str = ""
    name: str = ""
    place: int = 0
    seal: str = ""
    has_part: bool = False
    likely: list[Mapping[str, Any]] = field(default_factory=list)
    """How likely each token of its words was, where that was asked for."""

    def document(self, status: str) -> dict[str, Any]:
        match self.kind:
            case "reasoning":
                summary = [{"type": "summary_text", "text": self.said}] if self.said else []
                sealed = {"encrypted_content": self.seal} if self.seal else {}
                return {"id": self.id, "type": "reasoning", "summary": summary} | sealed
            case "picture":
                made = {"status": status, "result": self.said or None, "output_format": self.name}
                return {"id": self.id, "type": "image_generation_call"} | made
            case "call":
                call = {"call_id": self.call_id, "name": self.name, "arguments": self.said}
                return {"id": self.id, "type": "function_call", "status": status, **call}
        content = [self.part] if self.said else []
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}

    @property
    def part(self) -> dict[str, Any]:
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": self.said}
        if self.kind == "reasoning":
            return {"type": "summary_text", "text": self.said}
        return {"type": "output_text", "text": self.said, "annotations": [], "logprobs": self.likely}


def _picture(execution: RunRecord, number: int, made: Asset) -> _Item:
    """One that the model made beside its words, as OpenAI's own tool for it does."""
    format = made.media_type.partition("/")[2]
    return _Item("picture", f"ig_{execution.id.hex}_{number}", b64encode(made.content).decode(), name=format)


TOLD = {  # kind → (its events, the field of the whole in the last of them)
    "text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning": ("response.reasoning_summary_text", "text"),
    "call": ("response.function_call_arguments", "arguments"),
}


class Events(Pieces):
    """One stream's events. Of words, one item is open at a time; calls of tools stay open until the end."""

    def __init__(self, execution: RunRecord, model: str, echo: Echo):
        self._execution, self._model, self._echo = execution, model, echo
        self._number = -1
        self._items: list[_Item] = []
        self._speaking: _Item | None = None
        self._calls: dict[int, _Item] = {}
        self._ended: dict[int, dict[str, Any]] = {}

    def words(self, said: str) -> bytes:
        return self._say("text", said)

    def of(self, event: Event) -> bytes:
        return b"".join(self._events(event))

    def last(self, done: Done | None, usage: Usage, facts: dict[str, Any]) -> Iterator[bytes]:
        yield self._started() + self._close_all()
        made = _ended(self._execution, self._model, self._echo, self._output(), done, usage) | {"dataelan": facts}
        yield self._event(f"response.{made['status']}", response=made)

    def broken(self, failure: Failure, facts: dict[str, Any]) -> Iterator[bytes]:
        problem = errors.of(failure)
        error = {"code": problem.code or "server_error", "message": problem.message}
        made = _envelope(self._execution, self._model, self._echo) | {"output": self._output(), "usage": None}
        made |= {"status": "failed", "error": error, "dataelan": facts}
        yield self._started() + self._event("response.failed", response=made)

    # -- inside ----------------------------------------------------------------------------------

    def _events(self, event: Event) -> Iterator[bytes]:
        match event:
            case Reasoning(delta, seal, kind):
                if delta:
                    yield self._say("reasoning", delta)
                if seal and kind == KIND:
                    yield self._seal(seal)
            case Refusal(delta):
                yield self._say("refusal", delta)
            case Text(delta, likely):
                yield self._say("text", delta, likely)
            case Asset() if _is_picture(event):
                yield self._show(event)
            case ToolCall(index, id, name, arguments):
                yield self._stop_speaking()
                if index not in self._calls:
                    yield self._open_call(index, id, name)
                if arguments:
                    yield self._add(self._calls[index], arguments)

    def _started(self) -> bytes:
        if self._number >= 0:
            return b""
        made = _envelope(self._execution, self._model, self._echo) | {"output": [], "usage": None}
        return self._event("response.created", response=made) + self._event("response.in_progress", response=made)

    def _say(self, kind: str, delta: str, likely: Likely = ()) -> bytes:
        before = b""
        if self._speaking is None or self._speaking.kind != kind:
            before = self._started() + self._stop_speaking()
            self._speaking = self._new(kind)
            before += self._begin(self._speaking) + self._begin_part(self._speaking)
        return before + self._add(self._speaking, delta, likely)

    def _new(self, kind: str) -> _Item:
        prefix = "rs_" if kind == "reasoning" else "msg_"
        number = f"_{len(self._items)}" if self._items else ""
        return _Item(kind, f"{prefix}{self._execution.id.hex}{number}")

    def _show(self, made: Asset) -> bytes:
        before = self._started() + self._stop_speaking()
        item = _picture(self._execution, len(self._items), made)
        before += self._begin(replace(item, said=""))
        item.place = len(self._items) - 1
        self._ended[item.place] = item.document("completed")
        return before + self._as_item(item, "done", self._ended[item.place])

    def _seal(self, seal: str) -> bytes:
        """It ends its thought, of which nothing may have been told."""
        if self._speaking is None or self._speaking.kind != "reasoning":
            before = self._started() + self._stop_speaking()
            self._speaking = self._new("reasoning")
            before += self._begin(self._speaking)
        else:
            before = b""
        self._speaking.seal = seal
        return before + self._stop_speaking()

    def _open_call(self, index: int, id: str, name: str) -> bytes:
        before = self._started()
        id = id or call_id(self._execution, index)
        self._calls[index] = _Item("call", f"fc_{self._execution.id.hex}_{index}", call_id=id, name=name)
        return before + self._begin(self._calls[index])

    def _begin(self, item: _Item) -> bytes:
        item.place = len(self._items)
        self._items.append(item)
        return self._as_item(item, "added", item.document("in_progress"))

    def _begin_part(self, item: _Item) -> bytes:
        item.has_part = True
        return self._of(item, _part_event(item, "added"), {"part": item.part})

    def _add(self, item: _Item, delta: str, likely: Likely = ()) -> bytes:
        item.said += delta
        item.likely += likely
        return self._of(item, f"{TOLD[item.kind][0]}.delta", {"delta": delta} | _beside(item, likely))

    def _stop_speaking(self) -> bytes:
        item, self._speaking = self._speaking, None
        return self._close(item) if item else b""

    def _close_all(self) -> bytes:
        return self._stop_speaking() + b"".join(map(self._close, self._calls.values()))

    def _close(self, item: _Item) -> bytes:
        event, name = TOLD[item.kind]
        whole = {name: item.said} | ({"name": item.name} if item.kind == "call" else _beside(item, item.likely))
        made = self._of(item, f"{event}.done", whole) if item.has_part or item.kind == "call" else b""
        if item.has_part:
            made += self._of(item, _part_event(item, "done"), {"part": item.part})
        self._ended[item.place] = item.document("completed")
        return made + self._as_item(item, "done", self._ended[item.place])

    def _as_item(self, item: _Item, what: str, document: dict[str, Any]) -> bytes:
        return self._event(f"response.output_item.{what}", output_index=item.place, item=document)

    def _of(self, item: _Item, type: str, more: dict[str, Any]) -> bytes:
        place = {"reasoning": {"summary_index": 0}, "call": {}}.get(item.kind, {"content_index": 0})
        return self._event(type, output_index=item.place, item_id=item.id, **place, **more)

    def _event(self, type: str, **more: Any) -> bytes:
        self._number += 1
        return sse({"type": type, "sequence_number": self._number, **more})

    def _output(self) -> list[dict[str, Any]]:
        return [self._ended.get(item.place) or item.document("incomplete") for item in self._items]


def _beside(item: _Item, likely: Likely) -> dict[str, Any]:
    return {"logprobs": likely} if item.kind == "text" else {}


def _part_event(item: _Item, what: str) -> str:
    part = "reasoning_summary_part" if item.kind == "reasoning" else "content_part"
    return f"response.{part}.{what}"


def events(echo: Echo) -> Callable[[RunRecord, str], Events]:
    return lambda execution, model: Events(execution, model, echo)


def usage_of(usage: Usage) -> dict[str, Any]:
    """OpenAI counts cached tokens within the input and reasoning within the output."""
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {"cached_tokens": usage.cache_read or 0} | written(usage),
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.input_total + usage.output_total,
    }


def _envelope(execution: RunRecord, model: str, echo: Echo) -> dict[str, Any]:
    return {
        "id": f"resp_{execution.id.hex}",
        "object": "response",
        "created_at": int(execution.created_at.timestamp()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": model,
        "store": False,
        **echo,
    }


def _ended(
    execution: RunRecord, model: str, echo: Echo, output: list[dict[str, Any]], done: Done | None, usage: Usage
) -> dict[str, Any]:
    made = _envelope(execution, model, echo) | {"output": output, "usage": usage_of(usage), "status": "completed"}
    if reason := INCOMPLETE.get(done.finish) if done else None:
        made |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
    return made
