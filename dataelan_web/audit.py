"""The audit log: one line for each change, in the transaction that makes it."""

from __future__ import annotations

import uuid
from typing import Any

from flask import has_request_context, request
from flask_login import current_user

from .extensions import db
from .models import AuditEvent, Base


def record(action: str, subject: Base, organization_id: uuid.UUID | None = None, **detail: Any) -> None:
    """Note that `action` (`key.created`) was done to `subject`. `detail` must hold no secret."""
    actor = current_user if has_request_context() and current_user.is_authenticated else None
    db.session.add(
        AuditEvent(
            organization_id=organization_id or getattr(subject, "organization_id", None),
            actor_id=actor.id if actor else None,
            action=action,
            subject_type=type(subject).__name__,
            subject_id=subject.id,
            subject_name=str(getattr(subject, "name", None) or getattr(subject, "label", ""))[:200],
            detail=detail,
            address=(request.remote_addr or "") if has_request_context() else "",
        )
    )
