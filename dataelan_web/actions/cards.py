"""What the card of an action's call needs, and how it reads: the filters of templates/actions/_call.html."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.orm import joinedload, selectinload

from ..acting import payloads
from ..acting.path import why_stale
from ..executions.calls import LARGEST
from ..models import (
    ActionAttempt,
    ActionCall,
    ActionRepair,
    ActionVersion,
    DeclaredAction,
    Execution,
    How,
    OfferedAction,
)
from ..notify.posting import origin_of
from ..router.actions import read_json

_VERSION = joinedload(ActionCall.version)
CALL = (
    _VERSION.joinedload(ActionVersion.action).joinedload(DeclaredAction.project),
    joinedload(ActionCall.decider),
    selectinload(ActionCall.repairs).joinedload(ActionRepair.execution),
    selectinload(ActionCall.attempts).joinedload(ActionAttempt.user),
)
OF_RUN = (
    selectinload(Execution.calls).options(*CALL),  # type: ignore[attr-defined]
    selectinload(Execution.offered).joinedload(OfferedAction.version),  # type: ignore[attr-defined]
)
"""For the cards of runs: two queries where nothing was called."""


def repair_cost(call: ActionCall) -> int | None:
    """Nano-USD of the repairs that have ended; None: of one it is unknown."""
    costs = [repair.execution.cost for repair in call.repairs if not repair.execution.is_open]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def stamp(call: ActionCall) -> str:
    """Another when the card reads otherwise."""
    return f"{call.state.value}-{call.repairs_made}-{call.tries}-{len(call.error)}"


def receiver(call: ActionCall) -> str:
    """Where it is delivered, without what the address says beside the host."""
    return origin_of(call.version.url) if call.version and call.version.url else ""


def outcome(call: ActionCall) -> str:
    """What came of it, in words for the model that asked for it."""
    said = call.attempts[-1].answer if call.attempts and call.state == "delivered" else ""
    return {
        "delivered": said or "Done.",
        "accepted": "Noted.",
        "declined": f"Declined. {call.reason}".strip(),
        "invalid": f"The arguments were refused. {call.problem}",
        "failed": "It could not be done.",
    }.get(call.state.value, "")


def reply(run: Execution) -> str | None:
    """What a model said beside the actions that it put into structured output; None: its answer has no such form."""
    if not any(one.how is How.SCHEMA for one in run.offered):  # type: ignore[attr-defined]
        return None
    try:
        whole = read_json(run.body.text.strip(), 2 * LARGEST)
    except ValueError:
        return None
    has_form = (
        isinstance(whole, dict) and isinstance(whole.get("reply"), str) and isinstance(whole.get("actions"), list)
    )
    return whole["reply"] if has_form else None


def pretty(call: ActionCall) -> str:
    """The payload as it is sent."""
    return json.dumps(payloads.of_call(call), indent=2, ensure_ascii=False)


def as_json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


FILTERS = {
    "repair_cost": repair_cost,
    "stamp": stamp,
    "receiver": receiver,
    "call_outcome": outcome,
    "structured_reply": reply,
    "why_stale": why_stale,
    "as_json": as_json,
}
