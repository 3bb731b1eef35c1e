"""Who calls: a gateway token in the Authorization header, and nowhere else."""

from __future__ import annotations

from flask import request
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from ..extensions import db
from ..models import GatewayToken, Project, now
from .errors import Refused

TOUCH_AFTER = 60


def authenticate() -> GatewayToken:
    """The token of this request. Raises Refused (401). Its last use is noted to the minute."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Refused(401, "Send your Dataelan token as `Authorization: Bearer dlan_…`.", "missing_token")
    token = db.session.scalars(
        select(GatewayToken)
        .where(GatewayToken.token_hash == GatewayToken.digest(secret.strip()))
        .options(joinedload(GatewayToken.project).joinedload(Project.organization))
    ).first()
    if token is None or not token.is_valid(now()):
        raise Refused(401, "This token is not valid: unknown, expired or revoked.", "invalid_token")
    if token.last_used_at is None or (now() - token.last_used_at).total_seconds() > TOUCH_AFTER:
        token.last_used_at = now()
        db.session.commit()
    return token
