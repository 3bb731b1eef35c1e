"""Organizations, for superusers: found, how large they are and what they spend; suspended and let go on."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort
from sqlalchemy import ColumnElement, func, or_, select, update

from .. import audit
from ..extensions import db
from ..models import (
    ROLLUP_KEYS,
    ROLLUPS,
    Asset,
    Batch,
    BatchState,
    GatewayToken,
    Membership,
    Organization,
    OrganizationKind,
    Project,
    Role,
    User,
    now,
)
from ..models.rollups import Grain
from ..rollups.cuts import smallest

SIZE = 50
PAUSED = "The organization was suspended."


@dataclass(frozen=True)
class Use:
    """Runs, and nano-USD by the ledger: of this month, by the organization's own calendar, and ever."""

    runs: int = 0
    month: int = 0
    ever: int = 0


@dataclass(frozen=True)
class Home:
    organization: Organization
    people: Sequence[tuple[User, Role]]
    use: Use
    projects: int
    tokens: int
    stored: int
    """Bytes of files."""


def found(q: str, kind: str, page: int) -> tuple[list[tuple[Organization, int, Use]], bool]:
    """([(organization, members, use)], is there more), the newest first. `kind`: one, `suspended`, or nothing."""
    members = select(func.count()).where(Membership.organization_id == Organization.id).scalar_subquery()
    query = select(Organization, members).where(*_where(q, kind))
    query = query.order_by(Organization.created_at.desc(), Organization.id.desc())
    rows = db.session.execute(query.limit(SIZE + 1).offset((page - 1) * SIZE)).all()
    used = uses([row[0].id for row in rows])
    return [(row[0], row[1], used.get(row[0].id, Use())) for row in rows[:SIZE]], len(rows) > SIZE


def organization(id: uuid.UUID) -> Organization:
    return db.session.get(Organization, id) or abort(404)


def all_of(home: Organization) -> Home:
    people = select(User, Membership.role).join(Membership, Membership.user_id == User.id)
    people = people.where(Membership.organization_id == home.id).order_by(func.lower(User.name)).limit(200)
    here = Project.organization_id == home.id, Project.deleted_at.is_(None)
    tokens = select(func.count(GatewayToken.id)).join(Project).where(*here, GatewayToken.revoked_at.is_(None))
    stored = select(func.coalesce(func.sum(Asset.size), 0)).where(Asset.organization_id == home.id)
    return Home(
        home,
        [(row[0], row[1]) for row in db.session.execute(people)],
        uses([home.id]).get(home.id, Use()),
        db.session.scalar(select(func.count()).select_from(Project).where(*here)) or 0,
        db.session.scalar(tokens) or 0,
        int(db.session.scalar(stored) or 0),
    )


def uses(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Use]:
    """From the sums of dashboards: no run is counted here."""
    month = ROLLUPS.c.bucket >= func.date_trunc("month", func.now(), Organization.time_zone)  # as its days begin
    query = (
        select(
            ROLLUP_KEYS.c.organization_id,
            func.coalesce(func.sum(ROLLUPS.c.runs), 0),
            func.coalesce(func.sum(ROLLUPS.c.cost).filter(month), 0),
            func.coalesce(func.sum(ROLLUPS.c.cost), 0),
        )
        .join(ROLLUPS, ROLLUPS.c.key_id == ROLLUP_KEYS.c.id)
        .join(Organization, Organization.id == ROLLUP_KEYS.c.organization_id)
        .where(ROLLUP_KEYS.c.organization_id.in_(ids), ROLLUP_KEYS.c.cut == smallest(()), ROLLUPS.c.grain == Grain.DAY)
        .group_by(ROLLUP_KEYS.c.organization_id)
    )
    return {row[0]: Use(*map(int, row[1:])) for row in db.session.execute(query)} if ids else {}


def set_suspended(home: Organization, is_suspended: bool) -> None:
    """At once: its people come no further than to a page that says so, its tokens are refused, its batches pause. What
    runs goes on to its end. Commits."""
    if (home.suspended_at is not None) != is_suspended:
        home.suspended_at = now() if is_suspended else None
        audit.record("organization.suspended" if is_suspended else "organization.resumed", home, home.id)
        if is_suspended:
            _pause_batches(home)
    db.session.commit()


def _pause_batches(home: Organization) -> None:
    projects = select(Project.id).where(Project.organization_id == home.id)
    running = Batch.project_id.in_(projects), Batch.state == BatchState.RUNNING
    query = update(Batch).where(*running).values(state=BatchState.PAUSED, why=PAUSED)
    db.session.execute(query.execution_options(synchronize_session=False))


def _where(q: str, kind: str) -> list[ColumnElement[bool]]:
    where: list[Any] = [Organization.purged_at.is_(None)]
    for word in q.split()[:5]:
        where.append(or_(Organization.name.icontains(word, autoescape=True), Organization.slug == word))
    if kind in list(OrganizationKind):
        where.append(Organization.kind == OrganizationKind(kind))
    elif kind == "suspended":
        where.append(Organization.suspended_at.is_not(None))
    return where
