"""The audit log: one line for each change, in the transaction that makes it."""

from __future__ import annotations

import getpass
import uuid
from typing import Any

import click
from flask import g, has_request_context, request
from flask_login import current_user

from .extensions import db
from .models import AuditEvent, Base, User
from .models.audit import Source


def record(action: str, subject: Base, organization_id: uuid.UUID | None = None, /, **detail: Any) -> None:
    """Note that `action` (`key.created`) was done to `subject`. `detail` must hold no secret. What was there before is
    `before`: a value beside `after`, or a dict of what else `detail` names."""
    db.session.add(
        AuditEvent(
            organization_id=organization_id or getattr(subject, "organization_id", None),
            action=action,
            subject_type=subject.__class__.__name__,  # of whom `current_user` stands for
            subject_id=subject.id,
            subject_name=str(getattr(subject, "name", None) or getattr(subject, "label", ""))[:200],
            detail=detail,
            **_by(),
            **_from(),
        )
    )


def impersonator() -> User | None:
    """The superuser who acts as the signed-in person in this request."""
    found: User | None = g.get("impersonator") if has_request_context() else None
    return found


def actor_id() -> uuid.UUID | None:
    """Of the signed-in person; None: it is done by a command or a worker."""
    return current_user.id if has_request_context() and current_user.is_authenticated else None


def _by() -> dict[str, Any]:
    if actor_id() is None:
        return {}
    by: dict[str, Any] = {"actor_id": current_user.id, "actor_name": current_user.name}
    if behind := impersonator():
        by |= {"impersonator_id": behind.id, "impersonator_name": behind.name}
    return by


def _from() -> dict[str, Any]:
    if has_request_context():
        agent = str(request.user_agent)[:200]
        return {"source": Source.BROWSER, "source_name": agent, "address": request.remote_addr or ""}
    if command := click.get_current_context(silent=True):
        name = command.command_path.rpartition("flask ")[2]
        return {"source": Source.COMMAND, "source_name": f"flask {name}, as {_account()}"[:200]}
    return {"source": Source.WORKER}


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have
        return "somebody"
