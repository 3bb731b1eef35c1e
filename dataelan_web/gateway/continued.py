"""A response that goes on from an earlier one: what was said there, from the record of that run."""

from __future__ import annotations

from collections.abc import Sequence

from ..executions.prompts import from_json
from ..models import Project, State
from ..router.types import Message, Part, TextPart, ToolUse
from . import runs
from .errors import Refused
from .tool_calls import call_id

PREFIX = "resp_"


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
