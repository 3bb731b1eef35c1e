"""What the pages of notices and webhooks show."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from flask import g
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on

from .. import access
from ..extensions import db
from ..models import Delivery, Notice, Organization, Webhook
from ..notify.kinds import MAILED

PAGE = 30


@dataclass(frozen=True)
class Place:
    """Where a list of notices was left: after this one, among the unread or the read."""

    is_read: bool
    id: uuid.UUID

    @classmethod
    def said(cls, text: str) -> Place | None:
        """None for what is none."""
        group, _, id = text.partition(".")
        try:
            return cls(group == "read", uuid.UUID(id))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{'read' if self.is_read else 'unread'}.{self.id}"


@dataclass(frozen=True)
class Group:
    """Notices that are all read, or all unread. `is_first`: none of them came before."""

    is_read: bool
    is_first: bool
    notices: list[Notice]


def notices(kind: str = "", after: Place | None = None) -> tuple[list[Group], Place | None]:
    """A page of the signed-in person's notices, the unread first, and where to go on."""
    is_read = Notice.read_at.is_not(None)
    query = access.scoped(Notice).order_by(is_read, Notice.id.desc()).limit(PAGE + 1)
    if kind:
        query = query.where(Notice.kind == kind)
    if after:
        rest = Notice.id < after.id
        query = query.where(is_read & rest if after.is_read else is_read | rest)
    rows = list(db.session.scalars(query))
    shown = rows[:PAGE]
    name_organizations(shown)
    further = Place(shown[-1].read_at is not None, shown[-1].id) if len(rows) > PAGE else None
    grouped = groupby(shown, key=lambda notice: notice.read_at is not None)
    return [Group(read, not after or after.is_read != read, list(some)) for read, some in grouped], further


def name_organizations(notices: Sequence[Notice]) -> None:
    """Where each comes from, when that is not here."""
    elsewhere = {notice.organization_id for notice in notices} - {g.organization.id}
    query = select(Organization.id, Organization.name).where(Organization.id.in_(elsewhere))
    names = dict(db.session.execute(query).all()) if elsewhere else {}
    for notice in notices:
        notice.organization_name = names.get(notice.organization_id, "")  # type: ignore[attr-defined]


def by_mail() -> list[str]:
    """The kinds that the signed-in person wants by mail."""
    return [key for key, kind in MAILED.items() if current_user.mail_choices.get(key, kind.is_mailed)]


def webhooks() -> list[tuple[Webhook, Delivery | None]]:
    """All of this organization's, each with its last delivery."""
    rows = db.session.scalars(access.scoped(Webhook).order_by(Webhook.id)).all()
    last = (
        select(Delivery)
        .where(Delivery.webhook_id.in_([row.id for row in rows]))
        .ext(distinct_on(Delivery.webhook_id))
        .order_by(Delivery.webhook_id, Delivery.id.desc())
    )
    found = {delivery.webhook_id: delivery for delivery in db.session.scalars(last)} if rows else {}
    return [(row, found.get(row.id)) for row in rows]


def deliveries(webhook: Webhook, before: uuid.UUID | None = None) -> tuple[list[Delivery], uuid.UUID | None]:
    """The latest first, and the id to page on from."""
    query = access.scoped(Delivery).where(Delivery.webhook_id == webhook.id)
    if before:
        query = query.where(Delivery.id < before)
    rows = list(db.session.scalars(query.order_by(Delivery.id.desc()).limit(PAGE + 1)))
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None
