"""What expressions of rules may ask beside the prompt itself (router.expressions.VARIABLES), read only when they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from .. import quota
from ..models import GatewayToken, Membership, User, now
from ..models.base import DbSession
from ..models.executions import Execution, Payer
from ..models.records import RunRecord
from ..router.conditions import ConditionError
from ..router.rules import Rule

Facts = dict[str, Mapping[str, Any]]


def facts_for(session: DbSession, execution: RunRecord, rules: Iterable[Rule]) -> Facts:
    """Only the variables that some rule's expression names: most prompts need none of these queries."""
    asked = asked_by(rules)
    return {name: read(session, execution) for name, read in _READERS.items() if name in asked} if asked else {}


def asked_by(rules: Iterable[Rule]) -> set[str]:
    """The variables that their expressions name."""
    asked: set[str] = set()
    for rule in rules:
        try:
            asked |= rule.variables
        except ConditionError:
            continue  # the plan says so in its receipt
    return asked


def _project(session: DbSession, execution: RunRecord) -> dict[str, Any]:
    return {"name": execution.project.name, "id": str(execution.project_id)}


def _member(session: DbSession, execution: RunRecord) -> dict[str, Any]:
    if execution.user_id is None or execution.token_id is not None:
        return {}
    membership = (Membership.user_id == User.id) & (Membership.organization_id == execution.organization_id)
    row = session.execute(
        select(User.email, Membership.role).outerjoin(Membership, membership).where(User.id == execution.user_id)
    ).first()
    return {"email": row.email, "role": row.role.value if row.role else "GUEST"} if row else {}


def _request(session: DbSession, execution: RunRecord) -> dict[str, Any]:
    token = session.get(GatewayToken, execution.token_id) if execution.token_id else None
    return request_of(execution, token.label if token else "")


def request_of(execution: Execution | RunRecord, token: str) -> dict[str, Any]:
    """`token`: the label of the one it came with."""
    labels = execution.labels or {}
    tags = labels.get("tags", [])
    return {
        "origin": execution.origin.value,
        "token": token,
        "tags": f",{','.join(tags)}," if tags else "",
        "session": labels.get("session", ""),
    }


def _time(session: DbSession, execution: RunRecord) -> dict[str, Any]:
    return time_at(now(), execution.project.organization.time_zone)


def time_at(moment: datetime, zone: str) -> dict[str, Any]:
    here = moment.astimezone(ZoneInfo(zone))
    return {"hour": here.hour, "weekday": here.isoweekday(), "date": here.date().isoformat()}


def _budget(session: DbSession, execution: RunRecord) -> dict[str, Any]:
    """The limits that count whoever asks, wherever the prompt may go: not those of one key, provider or model."""
    subjects = quota.Subjects(
        execution.organization_id,
        execution.project_id,
        execution.user_id,
        execution.token_id,
        None,
        None,
        None,
        Payer.NOBODY,
    )
    return {"used_percent": quota.used_percent(session, subjects)}


_READERS: Mapping[str, Callable[[DbSession, RunRecord], Mapping[str, Any]]] = {
    "project": _project,
    "member": _member,
    "request": _request,
    "time": _time,
    "budget": _budget,
}
