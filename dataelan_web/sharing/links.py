"""Public links: made by editors, told once, ended by time or by hand, and forbidden by an organization's switch."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

from flask import abort, g
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from .. import access, audit
from ..extensions import db
from ..models import Execution, Organization, PromptSession, PublicLink, new_id, now

LASTS = {"1": "1 day", "7": "7 days", "30": "30 days", "": "Until it is revoked"}
USUAL = "7"


def make(
    session: PromptSession, run: Execution | None, *, days: str, shows_names: bool, shows_cost: bool
) -> tuple[PublicLink, str]:
    """The link and its secret, which nobody can be told again. Commits."""
    secret = PublicLink.new_secret()
    made = PublicLink(
        id=new_id(),
        session=session,
        execution_id=run.id if run else None,
        created_by=current_user.id,
        secret_hash=PublicLink.digest(secret),
        shows_names=shows_names,
        shows_cost=shows_cost,
        expires_at=now() + timedelta(days=int(days)) if days else None,
    )
    db.session.add(made)
    detail = {"session": str(session.id), "run": str(run.id) if run else None, "days": days}
    audit.record("link.created", made, g.organization.id, **detail, shows_names=shows_names, shows_cost=shows_cost)
    db.session.commit()
    return made, secret


def of(session: PromptSession) -> Sequence[PublicLink]:
    """Those that still lead somewhere, the newest first."""
    query = select(PublicLink).where(PublicLink.session_id == session.id, PublicLink.revoked_at.is_(None))
    found = db.session.scalars(query.options(joinedload(PublicLink.creator)).order_by(PublicLink.id.desc()))
    return [link for link in found if link.is_open]


def of_organization() -> Sequence[PublicLink]:
    """All that lead somewhere, or would if the organization allowed it."""
    sessions = access.scoped(PromptSession).with_only_columns(PromptSession.id)
    query = select(PublicLink).where(PublicLink.session_id.in_(sessions), PublicLink.revoked_at.is_(None))
    found = db.session.scalars(
        query.options(joinedload(PublicLink.creator), joinedload(PublicLink.session)).order_by(PublicLink.id.desc())
    )
    return [link for link in found if link.is_open]


def revoke(session: PromptSession, id: uuid.UUID) -> None:
    """404 for what is no link of this session. Commits."""
    link = db.session.scalars(
        select(PublicLink).where(PublicLink.id == id, PublicLink.session_id == session.id)
    ).first()
    if link is None:
        abort(404)
    if link.revoked_at is None:
        link.revoked_at = now()
        audit.record("link.revoked", link, g.organization.id, session=str(session.id))
    db.session.commit()


def allow(organization: Organization, is_allowed: bool) -> None:
    """Commits."""
    if organization.allows_public_links != is_allowed:
        organization.allows_public_links = is_allowed
        done = "allowed" if is_allowed else "forbidden"
        audit.record(f"organization.public_links_{done}", organization, organization.id)
    db.session.commit()
