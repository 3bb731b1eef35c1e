"""Who is let into one project, beside what the organization's role gives: a member, to edit there or to see its sums;
a guest, who sees this project and nothing else. Every verb commits and is audited."""

from __future__ import annotations

import uuid

from flask import abort
from sqlalchemy.dialects.postgresql import insert

from .. import audit
from ..extensions import db
from ..models import Collaborator, GatewayToken, Project, ProjectRole, User, new_id, now
from . import managing


def let_in(project: Project, user_id: uuid.UUID, role: ProjectRole) -> User:
    """A member of the organization; 404 for anybody else. Twice is once."""
    managing.lock(project.organization)  # or who is removed just now would stay as a guest
    if managing.role_of(project.organization_id, user_id) is None:
        abort(404)
    user = db.session.get_one(User, user_id)
    values = {"id": new_id(), "created_at": now(), "project_id": project.id, "user_id": user_id, "role": role}
    made = insert(Collaborator).values(values).on_conflict_do_nothing().returning(Collaborator.id)
    if db.session.scalar(made) is not None:
        audit.record("collaborator.added", project, project.organization_id, person=user.name, role=role.value)
    db.session.commit()
    return user


def change_role(collaborator: Collaborator, project: Project, role: ProjectRole) -> User:
    user = db.session.get_one(User, collaborator.user_id)
    if collaborator.role is not role:
        detail = {"before": collaborator.role.value, "after": role.value}
        collaborator.role = role
        audit.record("collaborator.role_changed", project, project.organization_id, person=user.name, **detail)
    db.session.commit()
    return user


def let_out(collaborator: Collaborator, project: Project) -> User:
    """A guest's tokens of this project are refused at once, and for good. A member's go on as their role does."""
    managing.lock(project.organization)
    user = db.session.get_one(User, collaborator.user_id)
    db.session.delete(collaborator)
    db.session.flush()
    is_member = managing.role_of(project.organization_id, user.id) is not None
    revoked = 0 if is_member else managing.revoke_tokens(user.id, GatewayToken.project_id == project.id)
    audit.record("collaborator.removed", project, project.organization_id, person=user.name, tokens_revoked=revoked)
    db.session.commit()
    return user
