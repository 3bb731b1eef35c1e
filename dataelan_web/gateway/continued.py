"""A response that goes on from an earlier one: what was said there, from the record of that run."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from ..executions.prompts import from_json
from ..extensions import db
from ..models import Execution, Origin, Project, State
from ..router.types import Message, Part, TextPart, ToolUse
from .errors import Refused

PREFIX = "resp_"


def conversation(project: Project, response_id: str, *, keeps_system: bool) -> Sequence[Message]:
    """All that was said up to that answer and in it. Raises Refused (404); what another project asked is not there."""
    run = _find(project, response_id.removeprefix(PREFIX))
    if run is None or not run.body.request.get("messages"):
        message = f"previous_response_id: there is no answer “{response_id}” to go on from; it may have been deleted."
        raise Refused(404, message, "previous_response_not_found", "previous_response_id")
    asked = from_json(run.body.request).messages
    calls = [ToolUse(call["id"], call["name"], call["arguments"]) for call in run.body.tool_calls]
    parts: tuple[Part, ...] = (*((TextPart(run.body.text),) if run.body.text else ()), *calls)
    kept = tuple(message for message in asked if keeps_system or message.role != "system")
    return (*kept, Message("assistant", parts)) if parts else kept


def _find(project: Project, id: str) -> Execution | None:
    try:
        wanted = uuid.UUID(id)
    except ValueError:
        return None
    return db.session.scalars(
        select(Execution)
        .where(
            Execution.id == wanted,
            Execution.project_id == project.id,
            Execution.origin == Origin.GATEWAY,
            Execution.state == State.COMPLETED,
            Execution.deleted_at.is_(None),
        )
        .options(joinedload(Execution.body))
    ).first()
