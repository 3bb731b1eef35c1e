"""What a receiver is told: see docs/actions.md. The same however often it is sent: nothing in it is of now."""

from __future__ import annotations

from typing import Any

from flask import current_app

from ..extensions import db
from ..models import ActionCall, ActionVersion, DeclaredAction, Model, Organization, Project, User
from ..models.base import now
from .telling import project_of

CALLED, TEST = "action.called", "action.test"


def of_call(call: ActionCall) -> dict[str, Any]:
    run, project = call.execution, project_of(call)
    organization = db.session.get_one(Organization, call.organization_id)
    here = f"{_site()}/o/{organization.slug}"
    model = db.session.get(Model, run.model_id) if run.model_id else None
    session = {"id": str(run.session_id), "url": f"{here}/sessions/{run.session_id}"} if run.session_id else None
    at = call.decided_at or call.created_at
    return {
        "type": CALLED,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "data": {
            "id": str(call.id),
            "action": _action(call.declared),
            "arguments": call.arguments,
            "asked_by": _person(db.session.get(User, run.user_id) if run.user_id else None),
            "approved_by": _person(call.decider),
            "model": model.name if model else None,
            "run": {"id": str(run.id), "url": f"{here}/executions/{run.id}"},
            "session": session,
            "project": {"id": str(project.id), "name": project.name},
            "organization": {"id": str(organization.id), "slug": organization.slug, "name": organization.name},
            "url": f"{here}/calls/{call.id}",
        },
    }


def of_test(id: str, action: DeclaredAction) -> dict[str, Any]:
    """As a call's, with the sample's arguments; nobody asked for it."""
    project: Project = action.project
    organization = project.organization
    return {
        "type": TEST,
        "timestamp": now().isoformat().replace("+00:00", "Z"),
        "data": {
            "id": id,
            "action": _action(action.version),
            "arguments": action.version.sample,
            "asked_by": None,
            "approved_by": None,
            "model": None,
            "run": None,
            "session": None,
            "project": {"id": str(project.id), "name": project.name},
            "organization": {"id": str(organization.id), "slug": organization.slug, "name": organization.name},
            "url": f"{_site()}/o/{organization.slug}/actions/{action.id}",
        },
    }


def _action(version: ActionVersion) -> dict[str, Any]:
    return {"id": str(version.action_id), "name": version.name, "version": version.number}


def _person(user: User | None) -> dict[str, str] | None:
    return {"id": str(user.id), "name": user.name} if user else None


def _site() -> str:
    site: str = current_app.extensions["dataelan_settings"].public_url
    return site
