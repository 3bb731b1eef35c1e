"""A response that goes on from an earlier one: what was said there, from the record of that run."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select

from ..executions.prompts import from_json
from ..extensions import db
from ..models import Execution, ExecutionBody, Project, State
from ..router.types import Message, Part, TextPart, ToolUse
from . import runs
from .errors import Refused
from .tool_calls import call_id

PREFIX = "resp_"
ITEM = re.compile(r"(msg|rs|fc)_([0-9a-f]{32})(?:_([0-9]{1,4}))?")
"""Items of our answers: words, thoughts and calls, each named after its run (openai/responses_answer.py)."""
MOST_ITEMS = 1_000
"""That one call may name: each is looked for."""


def conversation(project: Project, response_id: str, *, keeps_system: bool) -> Sequence[Message]:
    """All that was said up to that answer and in it. Raises Refused (404); what another project asked is not there."""
    run = runs.by_id(project, response_id.removeprefix(PREFIX))
    if run is None or run.state is not State.COMPLETED or not run.body.request.get("messages"):
        message = f"previous_response_id: there is no answer “{response_id}” to go on from; it may have been deleted."
        raise Refused(404, message, "previous_response_not_found", "previous_response_id")
    asked = from_json(run.body.request).messages
    calls = [
        ToolUse(call["id"] or call_id(run, n), call["name"], call["arguments"])
        for n, call in enumerate(run.body.tool_calls)
    ]
    parts: tuple[Part, ...] = (*((TextPart(run.body.text),) if run.body.text else ()), *calls)
    kept = tuple(message for message in asked if keeps_system or message.role != "system")
    return (*kept, Message("assistant", parts)) if parts else kept


def with_items(project: Project, input: Any) -> Any:
    """A response's input, with our own items in place of `item_reference`s to them: the Vercel AI SDK, unless told
    otherwise, sends what was answered as such. Raises Refused (404; 400: too many); others' stay as they are."""
    if not isinstance(input, list):
        return input
    named = {number: found for number, item in enumerate(input) if (found := _reference(item))}
    if len(named) > MOST_ITEMS:
        raise Refused(400, f"input: {MOST_ITEMS:,} references at most.", "invalid_value", "input")
    answers = _answers(project, {uuid.UUID(found[2]) for found in named.values()}) if named else {}
    told, made = set[uuid.UUID](), list[Any]()
    for number, item in enumerate(input):
        made += _items(number, named[number], answers, told) if number in named else [item]
    return made


def _reference(item: Any) -> re.Match[str] | None:
    is_one = isinstance(item, dict) and kind_of(item) == "item_reference"
    return ITEM.fullmatch(str(item.get("id"))) if is_one else None


def kind_of(item: dict[str, Any]) -> Any:
    """Its type, which a message may leave out, and a reference."""
    return item.get("type") or ("message" if item.keys() & {"role", "content"} else "item_reference")


def _answers(project: Project, ids: set[uuid.UUID]) -> dict[uuid.UUID, Any]:
    """Their words and calls, by run. What another project asked is not there."""
    query = (
        select(Execution, ExecutionBody.text, ExecutionBody.tool_calls)
        .join(ExecutionBody, ExecutionBody.id == Execution.id)
        .where(Execution.state == State.COMPLETED, *runs.of_programs(project, ids))
    )
    return {row.Execution.id: row for row in db.session.execute(query)}


def _items(
    number: int, named: re.Match[str], answers: dict[uuid.UUID, Any], told: set[uuid.UUID]
) -> Iterator[dict[str, Any]]:
    """One or none: of thoughts nothing is kept that a provider takes back, and words that were told in several items
    are kept as one text, which stands where the first of them stood."""
    kind, id, place = named[1], uuid.UUID(named[2]), int(named[3] or 0)
    answer = answers.get(id)
    if answer and kind == "rs":
        return
    if answer and kind == "msg" and answer.text:
        if id not in told:
            told.add(id)
            yield {"type": "message", "role": "assistant", "content": answer.text}
    elif answer and kind == "fc" and place < len(answer.tool_calls):
        call = answer.tool_calls[place]
        named_so = {"call_id": call["id"] or call_id(answer.Execution, place)}
        yield {"type": "function_call", "name": call["name"], "arguments": call["arguments"]} | named_so
    else:
        message = f"input.{number}: there is no item “{named[0]}” to go on from; it may have been deleted."
        raise Refused(404, message, "item_not_found", f"input.{number}")
