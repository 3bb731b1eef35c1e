"""Who calls: a gateway token in the Authorization header, and nowhere else."""

from __future__ import annotations

from flask import request
from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.orm import contains_eager

from ..extensions import db
from ..models import Collaborator, GatewayToken, Membership, Project, ProjectRole, Role, now
from .errors import Refused

TOUCH_AFTER = 60


def authenticate() -> GatewayToken:
    """The token of this request. Raises Refused (401). Its last use is noted to the minute."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Refused(401, "Send your Dataelan token as `Authorization: Bearer dlan_…`.", "missing_token")
    token = _find(secret.strip())
    if token is None or not token.is_valid(now()):
        raise Refused(401, "This token is not valid: unknown, expired or revoked.", "invalid_token")
    if token.last_used_at is None or (now() - token.last_used_at).total_seconds() > TOUCH_AFTER:
        token.last_used_at = now()
        db.session.commit()
    return token


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
