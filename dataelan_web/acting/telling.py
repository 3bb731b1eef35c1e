"""Who is told of a call: those who may decide, who ran it, and who runs the organization where it fails."""

from __future__ import annotations

import uuid

from sqlalchemy import select, union

from ..extensions import db
from ..models import (
    ActionCall,
    Approval,
    CallState,
    Collaborator,
    Membership,
    Organization,
    Project,
    ProjectRole,
    Role,
    User,
    now,
)
from ..notify import tell
from ..notify.audience import administrators


def waits(call: ActionCall) -> None:
    """In the caller's transaction, as all of these."""
    asked_by = db.session.get(User, call.execution.user_id) if call.execution.user_id else None
    by = f" for {asked_by.name}" if asked_by else ""
    _tell(call, _deciders(call), "action.waiting", f"“{call.name}” waits for approval", f"A model asked for it{by}.")


def decided(call: ActionCall, decider: User) -> None:
    user_id = call.execution.user_id
    if user_id and user_id != decider.id:
        word = "declined" if call.state is CallState.DECLINED else "approved"
        reason = f" {call.reason}" if call.reason else ""
        _tell(call, {user_id}, "action.decided", f"“{call.name}” was {word}", f"By {decider.name}.{reason}")


def failed(call: ActionCall) -> None:
    people = administrators(db.session, call.organization_id)
    if call.execution.user_id:
        people.add(call.execution.user_id)
    tries = "1 try" if call.tries == 1 else f"{call.tries} tries"
    _tell(
        call,
        people,
        "action.failed",
        f"“{call.name}” could not be delivered",
        f"It was given up ({tries}). {call.error}",
        now().isoformat(),  # tried again by a person and given up again, it is told again
    )


def project_of(call: ActionCall) -> Project:
    """Where it is seen: a session may have been moved since."""
    run = call.execution
    return db.session.get_one(Project, run.session.project_id if run.session else run.project_id)


def _deciders(call: ActionCall) -> set[uuid.UUID]:
    if call.version is None or call.version.approval is not Approval.EDITORS:
        return administrators(db.session, call.organization_id)
    project = project_of(call)
    members = select(Membership.user_id).where(
        Membership.organization_id == call.organization_id, Membership.role != Role.VIEWER
    )
    editors = select(Collaborator.user_id).where(
        Collaborator.project_id == project.id, Collaborator.role == ProjectRole.EDITOR
    )
    return set(db.session.scalars(union(members, editors)))


def _tell(call: ActionCall, people: set[uuid.UUID], kind: str, title: str, body: str, which: object = None) -> None:
    """`which`: of several of this kind; without, one is told of a call, and one when it is decided."""
    slug = db.session.get_one(Organization, call.organization_id).slug
    key = f"{kind}:{call.id}:{which or call.decided_at or ''}"
    here, path = project_of(call).id, f"/o/{slug}/calls/{call.id}"
    data = {"call": str(call.id), "action": call.name, "project": str(here)}
    tell(db.session, call.organization_id, people, key, kind, title, body, path, data=data, project_id=here)
