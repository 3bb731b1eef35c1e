"""The lines of the log, a page at a time from the newest on, and who may be chosen to see theirs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select, union

from ..extensions import db
from ..models import AuditEvent, Collaborator, Membership, Project, User
from .filters import NOBODY, Cursor, Filters

SIZE, CHUNK = 50, 1000


@dataclass(frozen=True)
class Page:
    events: Sequence[AuditEvent]
    older: Cursor | None


def page(organization_id: uuid.UUID | None, filters: Filters, size: int = SIZE) -> Page:
    """Of this organization; None: of all, and of what belongs to none."""
    query = select(AuditEvent).where(*filters.where)
    if organization_id is not None:
        query = query.where(AuditEvent.organization_id == organization_id)
    if filters.after:
        query = query.where(filters.after.older)
    query = query.order_by(AuditEvent.created_at.desc(), AuditEvent.id.desc()).limit(size + 1)
    found = db.session.scalars(query).all()
    return Page(found[:size], Cursor.of(found[size - 1]) if len(found) > size else None)


def chunks(organization_id: uuid.UUID | None, filters: Filters) -> Iterator[Sequence[AuditEvent]]:
    """All of them; a few are in memory at once."""
    after = filters.after
    while True:
        found = page(organization_id, Filters(filters.said, filters.where, after), CHUNK)
        yield found.events
        if (after := found.older) is None:
            return


def people(organization_id: uuid.UUID, chosen: str) -> list[tuple[str, str]]:
    """Members and guests by name, whoever is chosen though they have left, and those who are nobody."""
    member = select(Membership.user_id).where(Membership.organization_id == organization_id)
    guest = select(Collaborator.user_id).join(Project, Project.id == Collaborator.project_id)
    here = union(member, guest.where(Project.organization_id == organization_id))
    users = select(User.id, User.name).where(User.id.in_(here)).order_by(func.lower(User.name), User.id)
    found = [(str(id), name) for id, name in db.session.execute(users)]
    if chosen and chosen != NOBODY and chosen not in dict(found):
        found.append((chosen, called(organization_id, uuid.UUID(chosen))))
    return [*found, (NOBODY, "Nobody: commands, Dataelan itself")]


def called(organization_id: uuid.UUID | None, id: uuid.UUID) -> str:
    """As the log last named them."""
    theirs = select(AuditEvent.actor_id, AuditEvent.actor_name, AuditEvent.impersonator_name).where(
        or_(AuditEvent.actor_id == id, AuditEvent.impersonator_id == id)
    )
    if organization_id is not None:
        theirs = theirs.where(AuditEvent.organization_id == organization_id)
    row = db.session.execute(theirs.order_by(AuditEvent.created_at.desc()).limit(1)).first()
    return "Somebody" if row is None else row.actor_name if row.actor_id == id else row.impersonator_name
