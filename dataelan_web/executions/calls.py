"""The calls of declared actions in an answer that is whole. They are written down with it; acting/ does the rest."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from ..models import ActionCall, ActionVersion, How, OfferedAction, Origin, new_id
from ..models.base import DbSession
from ..models.records import RunRecord
from ..router.actions import read_json
from .answer import Answer

MOST = 50
"""Calls of one answer that are taken."""
LARGEST = 256 * 1024
"""Characters of one call's arguments. One more is kept, so that it can be seen that they were more."""


def calls_in(session: DbSession, execution: RunRecord, answer: Answer) -> list[ActionCall]:
    """One row a call, in their order; not added yet. What a repair answers is read by acting/path.py."""
    has_structure = answer.tool_calls or execution.request.get("schema")
    if not has_structure or execution.origin is not Origin.PLAYGROUND or execution.repairs_id:
        return []
    offered = _offered(session, execution.id)
    said = [*_by_tool(offered, answer), *_by_schema(offered, "".join(answer.text))][:MOST]
    return [
        ActionCall(
            id=new_id(),
            organization_id=execution.organization_id,
            execution_id=execution.id,
            version_id=offered[name][0],
            position=position,
            name=name,
            tool_call_id=tool_call_id[:200],
            how=offered[name][1],
            said=arguments[: LARGEST + 1],
        )
        for position, (name, tool_call_id, arguments) in enumerate(said)
    ]


def asked_for(text: str) -> list[tuple[str, Any]]:
    """(name, arguments) of the actions in an answer that was held to acting.offering's schema."""
    try:
        whole = read_json(text.strip(), 2 * LARGEST)
    except ValueError:
        return []
    found = whole.get("actions") if isinstance(whole, dict) else None
    calls = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return [(str(one.get("name")), one.get("arguments")) for one in calls]


def _offered(session: DbSession, execution_id: uuid.UUID) -> dict[str, tuple[uuid.UUID, How]]:
    rows = session.execute(
        select(ActionVersion.name, ActionVersion.id, OfferedAction.how)
        .join(OfferedAction, OfferedAction.version_id == ActionVersion.id)
        .where(OfferedAction.execution_id == execution_id, OfferedAction.how != How.NOT)
    )
    return {row.name: (row.id, row.how) for row in rows}


def _by_tool(offered: dict[str, tuple[uuid.UUID, How]], answer: Answer) -> Iterator[tuple[str, str, str]]:
    for call in answer.tool_calls.values():
        if call["name"] in offered and offered[call["name"]][1] is How.TOOL:
            yield call["name"], call["id"], call["arguments"] or "{}"


def _by_schema(offered: dict[str, tuple[uuid.UUID, How]], text: str) -> Iterator[tuple[str, str, str]]:
    if any(how is How.SCHEMA for _, how in offered.values()):
        for name, arguments in asked_for(text):
            if name in offered:
                yield name, "", json.dumps(arguments, ensure_ascii=False)
