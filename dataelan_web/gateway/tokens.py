"""Who calls: a gateway token, in the header in which the client of some API sends its key."""

from __future__ import annotations

from collections.abc import Iterator

from flask import request
from sqlalchemy import and_, bindparam, func, or_, select
from sqlalchemy.orm import contains_eager

from .. import logs, modes
from ..extensions import db
from ..models import (
    Collaborator,
    GatewayToken,
    Membership,
    Mode,
    Organization,
    Project,
    ProjectRole,
    Role,
    ServiceAccount,
    User,
    now,
)
from .errors import Refused

TOUCH_AFTER = 60
HEADERS = ("x-api-key", "x-goog-api-key")
"""Anthropic's and Gemini's, beside OpenAI's `Authorization`."""
CLOSED = "Dataelan is being looked after. Nothing was asked; send it again later. What runs goes on to its end."
IN_ADDRESS = ("key", "api_key", "access_token", "token")
HOW = "Send your Dataelan token as `Authorization: Bearer dlan_…`, `x-api-key: dlan_…` or `x-goog-api-key: dlan_…`."
NOT_THERE = "Do not send a token in the address: addresses are kept in logs and histories, where others read them."


def authenticate() -> GatewayToken:
    """The token of this request. Raises Refused (401). Its last use is noted to the minute."""
    secrets = set(_sent())
    if not secrets:
        is_shown = any(name in request.args for name in IN_ADDRESS)
        raise Refused(401, f"{NOT_THERE} {HOW}" if is_shown else HOW, "missing_token")
    if len(secrets) > 1:
        raise Refused(401, "Two headers name different tokens. Send one.", "invalid_token")
    token = _find(secrets.pop())
    if token is None or not token.is_valid(now()):
        raise Refused(401, "This token is not valid: unknown, expired or revoked.", "invalid_token")
    logs.note(token=token.id)
    _check_that_it_is_open(token)
    if token.last_used_at is None or (now() - token.last_used_at).total_seconds() > TOUCH_AFTER:
        token.last_used_at = now()
        db.session.commit()
    return token


def _check_that_it_is_open(token: GatewayToken) -> None:
    """Raises Refused: the organization is suspended (403), or nothing can be asked just now (503)."""
    if token.project.organization.suspended_at is not None:
        raise Refused(403, "This organization is suspended. Ask whoever looks after Dataelan.", "suspended")
    mode = modes.current()
    if mode is Mode.MAINTENANCE or (mode is Mode.READ_ONLY and request.method == "POST"):
        raise Refused(503, CLOSED, "maintenance", after=modes.RETRY_AFTER)


def check_scope(token: GatewayToken, requested: str) -> None:
    """Raises Refused (403) for what this token may not ask for."""
    if not token.may_ask(requested):
        allowed = ", ".join(token.allows[:10])
        raise Refused(403, f"This token may ask for {allowed}; not for {requested}.", "model_not_allowed", "model")


def _sent() -> Iterator[str]:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        yield secret.strip()
    for name in HEADERS:
        if secret := request.headers.get(name, "").strip():
            yield secret


_MEMBER = and_(Membership.organization_id == Project.organization_id, Membership.user_id == GatewayToken.created_by)
_GUEST = and_(Collaborator.project_id == Project.id, Collaborator.user_id == GatewayToken.created_by)
_OF_A_PERSON = and_(
    GatewayToken.service_account_id.is_(None),
    User.disabled_at.is_(None),
    or_(Membership.role != Role.VIEWER, Collaborator.role == ProjectRole.EDITOR),
)
_OF_A_SERVICE = and_(GatewayToken.service_account_id.is_not(None), ServiceAccount.disabled_at.is_(None))
_BEFORE = and_(GatewayToken.previous_hash == bindparam("hash"), GatewayToken.previous_until > func.now())
_TOKEN = (  # built once: every call begins with it
    select(GatewayToken, modes.MODE)
    .join(GatewayToken.project)
    .join(Project.organization)
    .outerjoin(Membership, _MEMBER)
    .outerjoin(Collaborator, _GUEST)
    .outerjoin(User, User.id == GatewayToken.created_by)
    .outerjoin(ServiceAccount, ServiceAccount.id == GatewayToken.service_account_id)
    .where(
        or_(GatewayToken.token_hash == bindparam("hash"), _BEFORE),
        Project.deleted_at.is_(None),
        Organization.deleted_at.is_(None),
        or_(_OF_A_PERSON, _OF_A_SERVICE),
    )
    .options(contains_eager(GatewayToken.project).contains_eager(Project.organization))
)


def _find(secret: str) -> GatewayToken | None:
    """The token, as long as whoever made it may still run prompts in its project: it carries their right, no more. A
    service account's carries the organization's, until it is switched off. In the trash, a project runs nothing."""
    row = db.session.execute(_TOKEN, {"hash": GatewayToken.digest(secret)}).first()
    if row is not None:
        modes.remember(row[1])
    return row[0] if row else None
