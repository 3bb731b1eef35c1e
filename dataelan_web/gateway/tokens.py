"""Who calls: a gateway token, in the header in which the client of some API sends its key."""

from __future__ import annotations

from collections.abc import Iterator

from flask import request
from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.orm import contains_eager

from ..extensions import db
from ..models import Collaborator, GatewayToken, Membership, Project, ProjectRole, Role, now
from .errors import Refused

TOUCH_AFTER = 60
HEADERS = ("x-api-key", "x-goog-api-key")
"""Anthropic's and Gemini's, beside OpenAI's `Authorization`."""
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
    if token.last_used_at is None or (now() - token.last_used_at).total_seconds() > TOUCH_AFTER:
        token.last_used_at = now()
        db.session.commit()
    return token


def _sent() -> Iterator[str]:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        yield secret.strip()
    for name in HEADERS:
        if secret := request.headers.get(name, "").strip():
            yield secret


_MEMBER = and_(Membership.organization_id == Project.organization_id, Membership.user_id == GatewayToken.created_by)
_GUEST = and_(Collaborator.project_id == Project.id, Collaborator.user_id == GatewayToken.created_by)
_TOKEN = (  # built once: every call begins with it
    select(GatewayToken)
    .join(GatewayToken.project)
    .outerjoin(Membership, _MEMBER)
    .outerjoin(Collaborator, _GUEST)
    .where(
        GatewayToken.token_hash == bindparam("hash"),
        Project.deleted_at.is_(None),
        or_(Membership.role != Role.VIEWER, Collaborator.role == ProjectRole.EDITOR),
    )
    .options(contains_eager(GatewayToken.project).joinedload(Project.organization))
)


def _find(secret: str) -> GatewayToken | None:
    """The token, as long as whoever made it may still run prompts in its project: it carries their right, no more.
    In the trash, a project runs nothing."""
    return db.session.scalars(_TOKEN, {"hash": GatewayToken.digest(secret)}).first()
