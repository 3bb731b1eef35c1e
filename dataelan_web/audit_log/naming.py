"""What the ids on a page of an organization's log stand for, where it is still there: one query a kind, however many
lines. The log itself keeps no titles: they are what people wrote, which a purge takes, and no operator's to read."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from flask import g, url_for
from sqlalchemy import select

from ..extensions import db
from ..limits import words as limit_words
from ..limits.subjects import names_of
from ..models import AuditEvent, Budget, Execution, Project, PromptSession, RateLimit, Scope


class Named(str):
    """A name, and the page of what it is of; none where that is in the trash."""

    url = ""


Names = Mapping[str, Named]
"""By id, as the log has it."""
KINDS: Mapping[str, Any] = {"session": PromptSession, "run": Execution, "execution": Execution}
"""Field of a line → what its id is of."""
KINDS_OF = {
    ("session.moved", "source"): Project,
    ("session.moved", "target"): Project,
    ("session.forked", "source"): PromptSession,
}
SUBJECTS: Mapping[str, Any] = {"PromptSession": PromptSession, "Budget": Budget, "RateLimit": RateLimit}
"""Those whose lines do not name them."""


def of(events: Sequence[AuditEvent], zone: tzinfo) -> Names:
    wanted, scoped = defaultdict[Any, set[uuid.UUID]](set), set[tuple[Scope, uuid.UUID]]()
    for event in events:
        for kind, id in _ids(event):
            wanted[kind].add(id)
        scoped.update(_scoped(event.detail))
    found, here = dict[str, Named](), g.organization.id
    ours = select(Project.id).where(Project.organization_id == here)
    for kind, name, page, is_ours in (
        (PromptSession, PromptSession.title, "playground.show", PromptSession.project_id.in_(ours)),
        (Project, Project.name, "projects.show", Project.organization_id == here),
        (Execution, Execution.created_at, "playground.execution", Execution.organization_id == here),
    ):
        if ids := wanted[kind]:
            rows = db.session.execute(select(kind.id, name, kind.deleted_at).where(kind.id.in_(ids), is_ours))
            found |= {str(id): _named(_said(said, zone), page, id, is_there=not gone) for id, said, gone in rows}
    return found | _limits(wanted[Budget], wanted[RateLimit], scoped)


def _ids(event: AuditEvent) -> Iterator[tuple[Any, uuid.UUID]]:
    if event.subject_type in SUBJECTS and event.subject_id and not event.subject_name:
        yield SUBJECTS[event.subject_type], event.subject_id
    for field, value in event.detail.items():
        kind = KINDS_OF.get((event.action, field)) or KINDS.get(field)
        if field == "limit":  # of a request for more; of a limit itself it is how much
            kind = RateLimit if "pace" in event.detail else Budget
        if kind is not None and (id := _id(value)):
            yield kind, id


def _scoped(detail: Mapping[str, Any]) -> Iterator[tuple[Scope, uuid.UUID]]:
    if detail.get("scope") in list(Scope) and (id := _id(detail.get("subject_id"))):
        yield Scope(detail["scope"]), id


def _id(value: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _said(name: object, zone: tzinfo) -> str:
    """A run has no name: it is that of its moment."""
    return f"{name.astimezone(zone):%-d %b %Y %H:%M:%S}" if isinstance(name, datetime) else str(name)


def _named(said: str, page: str, id: uuid.UUID, *, is_there: bool) -> Named:
    named = Named(said)
    named.url = url_for(page, id=id) if is_there else ""
    return named


def _limits(budgets: set[uuid.UUID], rates: set[uuid.UUID], scoped: set[tuple[Scope, uuid.UUID]]) -> dict[str, Named]:
    """Limits, and what they are on."""
    rows: list[tuple[Any, str, str]] = []
    here = g.organization.id
    if budgets:
        of_money = db.session.scalars(select(Budget).where(Budget.id.in_(budgets), Budget.organization_id == here))
        rows += [(one, limit_words.size(one.limit, one.unit, one.window), "limits.limit") for one in of_money]
    if rates:
        of_speed = db.session.scalars(
            select(RateLimit).where(RateLimit.id.in_(rates), RateLimit.organization_id == here)
        )
        rows += [(one, limit_words.rate_of(one), "limits.rate") for one in of_speed]
    subjects = names_of({*scoped, *((row.scope, row.subject_id) for row, *_ in rows)})
    on = {str(id): Named(subjects[scope, id].name) for scope, id in scoped}
    return on | {
        str(row.id): _named(
            f"{subjects[row.scope, row.subject_id].title}: {size}", page, row.id, is_there=not row.deleted_at
        )
        for row, size, page in rows
    }
