"""Service accounts are made, changed, switched off and deleted. Every verb commits and is audited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import g
from flask_login import current_user
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from .. import access, audit, quota
from ..extensions import db
from ..models import GatewayToken, Project, ServiceAccount, User, new_id, now


class Taken(Exception):
    """Another one is called so."""


@dataclass(frozen=True)
class Line:
    account: ServiceAccount
    maker: str
    tokens: int
    projects: int
    last_used_at: datetime | None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.account, name)


def create(name: str, description: str) -> ServiceAccount:
    """Raises Taken."""
    account = ServiceAccount(id=new_id(), organization_id=g.organization.id, name=name, description=description)
    account.created_by = current_user.id
    db.session.add(account)
    _unless_taken()
    audit.record("service_account.created", account)
    db.session.commit()
    return account


def change(account: ServiceAccount, name: str, description: str) -> None:
    """Raises Taken."""
    before = account.name
    account.name, account.description = name, description
    _unless_taken()
    audit.record("service_account.changed", account, before=before, after=name)
    db.session.commit()


def set_enabled(account: ServiceAccount, is_enabled: bool) -> None:
    """Off, its tokens are refused; on again, those are taken that were not revoked meanwhile."""
    if (account.disabled_at is None) != is_enabled:
        account.disabled_at = None if is_enabled else now()
        audit.record("service_account.enabled" if is_enabled else "service_account.disabled", account)
    db.session.commit()


def delete(account: ServiceAccount) -> None:
    """With its tokens and their limits. What they ran stays."""
    tokens = db.session.scalars(select(GatewayToken.id).where(GatewayToken.service_account_id == account.id)).all()
    quota.forget(db.session, *tokens)
    audit.record("service_account.deleted", account, tokens=len(tokens))
    db.session.delete(account)
    db.session.commit()


def listed() -> list[Line]:
    """By name, with how many tokens are taken, in how many projects, and when one was last used."""
    valid = GatewayToken.revoked_at.is_(None), Project.deleted_at.is_(None)
    sums = (
        select(
            GatewayToken.service_account_id.label("id"),
            func.count().filter(*valid).label("tokens"),
            func.count(GatewayToken.project_id.distinct()).filter(*valid).label("projects"),
            func.max(GatewayToken.last_used_at).label("used"),
        )
        .join(Project, Project.id == GatewayToken.project_id)
        .group_by(GatewayToken.service_account_id)
        .subquery()
    )
    rows = db.session.execute(
        access.scoped(ServiceAccount)
        .outerjoin(sums, sums.c.id == ServiceAccount.id)
        .outerjoin(User, User.id == ServiceAccount.created_by)
        .add_columns(User.name, sums.c.tokens, sums.c.projects, sums.c.used)
        .order_by(func.lower(ServiceAccount.name))
        .limit(500)
    )
    return [Line(one, maker or "", tokens or 0, projects or 0, used) for one, maker, tokens, projects, used in rows]


def _unless_taken() -> None:
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise Taken from None
