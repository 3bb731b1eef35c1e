"""Gateway tokens: issued, rotated, revoked, for a person's program or a service account. Verbs add and audit; their
callers commit."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from flask import abort, url_for
from flask_login import current_user
from sqlalchemy import ColumnElement, select

from .. import access, audit, quota
from ..executions.candidates import AUTO, slugs_of, usable_models
from ..extensions import db
from ..models import (
    Budget,
    Execution,
    GatewayToken,
    Project,
    RoutingRule,
    Scope,
    ServiceAccount,
    State,
    User,
    Window,
    new_id,
    now,
)

WAITED_FOR = timedelta(minutes=10)
"""From the making of a token, its page looks for a call that comes with it."""
LOOKED_AT = 20
"""… at so many, the first."""
GRACES = {"0": "is refused at once", "24": "is taken for another day", "168": "is taken for another week"}
"""Hours for which the secret before is still taken."""


@dataclass(frozen=True)
class Scoped:
    """What a new token may ask for (empty: all), for how many days, and for how much a month, in nano-USD."""

    allows: list[str]
    days: int | None = None
    budget: int | None = None


@dataclass
class Line:
    """A token as a list shows it. `budget`: the limit that ends first, where one counts it."""

    token: GatewayToken
    maker: str
    service: str
    budget: Budget | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.token, name)

    @property
    def is_expired(self) -> bool:
        return self.token.revoked_at is None and not self.token.is_valid(now())

    @property
    def old_until(self) -> datetime | None:
        """Until when the secret before the last rotation is taken."""
        until = self.token.previous_until
        return until if until and until > now() else None


def issue(
    project: Project, label: str, scope: Scoped, service: ServiceAccount | None = None
) -> tuple[GatewayToken, str]:
    """The secret is never to be seen again."""
    token, secret = GatewayToken.issue(project, current_user.id, label)
    token.id, token.allows = new_id(), scope.allows
    token.service_account_id = service.id if service else None
    token.expires_at = now() + timedelta(days=scope.days) if scope.days else None
    db.session.add(token)
    db.session.flush()
    here = project.organization_id
    detail: dict[str, Any] = {"allows": token.allows} if token.allows else {}
    audit.record("token.created", token, here, **detail, **({"service_account": service.name} if service else {}))
    if scope.budget is not None:
        window, maker = Window.MONTH, current_user.id
        quota.set_limit(db.session, here, Scope.TOKEN, token.id, window, scope.budget, created_by=maker)
        audit.record("limit.created", token, here, limit=scope.budget, window=window.value)
    return token, secret


def rotate(token: GatewayToken, grace: str) -> str:
    """A new secret; what it may, what it spent and its limits stay. `grace`: one of GRACES; 422 where it is none, or
    the token was revoked."""
    if grace not in GRACES or token.revoked_at:
        abort(422, "Say for how long the old secret is still taken; one that was revoked cannot be rotated.")
    secret = token.rotate(timedelta(hours=int(grace)))
    audit.record("token.rotated", token, token.project.organization_id, grace_hours=int(grace))
    return secret


def revoke(token: GatewayToken) -> None:
    token.revoked_at = token.revoked_at or now()
    audit.record("token.revoked", token, token.project.organization_id)


def lines(*which: ColumnElement[bool]) -> list[Line]:
    """Those that are taken first, then the newest. Two queries."""
    rows = db.session.execute(
        access.scoped(GatewayToken)
        .add_columns(User.name.label("maker"), ServiceAccount.name.label("service"))
        .outerjoin(User, User.id == GatewayToken.created_by)
        .outerjoin(ServiceAccount, ServiceAccount.id == GatewayToken.service_account_id)
        .where(*which)
        .order_by(GatewayToken.revoked_at.is_not(None), GatewayToken.created_at.desc())
        .limit(500)
    ).all()
    found = [Line(row.GatewayToken, row.maker or "", row.service or "") for row in rows]
    mine = Budget.scope == Scope.TOKEN, Budget.subject_id.in_([one.token.id for one in found])
    query = access.scoped(Budget).where(*mine).order_by(Budget.limit.desc())
    budgets = {one.subject_id: one for one in db.session.scalars(query)} if found else {}
    for one in found:
        one.budget = budgets.get(one.token.id)
    return found


def url_of(endpoint: str, parent_id: uuid.UUID) -> Callable[[uuid.UUID], str]:
    """For templates: the address of an act on a token of this project, or of this service account."""
    return lambda token_id: url_for(endpoint, id=parent_id, token_id=token_id)


class FirstCall(NamedTuple):
    """What came of a new token. `run`: the first that completed, or else the last that did not."""

    token: GatewayToken
    run: Execution | None

    @property
    def is_waited_for(self) -> bool:
        came = self.run is not None and self.run.state is State.COMPLETED
        return not came and now() - self.token.created_at < WAITED_FOR


def first_call(token: GatewayToken) -> FirstCall:
    """Of those that the signed-in person may see. None is looked for before it was used."""
    if token.last_used_at is None:
        return FirstCall(token, None)
    since, until = token.created_at, token.created_at + WAITED_FOR
    came = access.scoped(Execution).where(Execution.token_id == token.id, Execution.created_at.between(since, until))
    runs = db.session.scalars(came.order_by(Execution.created_at).limit(LOOKED_AT)).all()
    completed = (run for run in runs if run.state is State.COMPLETED)
    return FirstCall(token, next(completed, runs[-1] if runs else None))


def unknown(project: Project, names: list[str]) -> list[str]:
    """Those that no request of this project could name as its model."""
    here = RoutingRule.project_id.is_(None) | (RoutingRule.project_id == project.id)
    ours = RoutingRule.organization_id.is_(None) | (RoutingRule.organization_id == project.organization_id)
    called = RoutingRule.name.in_(names), RoutingRule.deleted_at.is_(None)
    rules = set(db.session.scalars(select(RoutingRule.name).where(*called, here, ours)))
    left = [name for name in names if name != AUTO and name not in rules]
    if not left:
        return []
    models = usable_models(db.session, project)
    slugs = slugs_of(db.session, models)
    known = {one.model for one in models} | {f"{slugs[one.provider_id]}/{one.model}" for one in models}
    return [name for name in left if name not in known]
