"""What the signed-in layout shows on every page: where one is, and where one can go."""

from __future__ import annotations

from typing import Any

from flask import Flask, g, request, url_for
from flask_login import current_user

from . import access
from .extensions import db
from .models import Project, PromptSession
from .notify import inbox

IN_SIDEBAR = 8
FOR_GUESTS = ("organizations.home", "limits.overview")
HUB = tuple(f"hub.{name}" for name in "provider new_provider connect change create key replace hub_settings".split())
"""Endpoints of the pages of providers, keys and settings, by how they begin."""


def init_app(app: Flask) -> None:
    app.context_processor(shell)


def shell() -> dict[str, Any]:
    """The context of templates/shell.html; nothing for a visitor."""
    if not current_user.is_authenticated or "organization" not in g:
        return {}
    organization, organizations = g.organization, access.organizations_of(current_user)
    return {
        "organization": organization,
        "organizations": organizations,
        "unread": inbox.unread(db.session, current_user.id, [one.id for one in organizations]),
        "nav": _navigation(organization.slug),
        "sidebar_projects": _projects(),
        "sidebar_sessions": _sessions(),
        "can_edit": access.may(access.EDIT, getattr(g, "project", None)),
        "can_administer": access.may(access.ADMINISTER),
    }


def _navigation(slug: str) -> list[dict[str, Any]]:
    places = [
        ("Home", "home", "organizations.home", ("organizations.",)),
        ("Providers and keys", "key", "hub.providers", HUB),
        ("Models", "boxes", "hub.models", ("hub.model", "hub.shutdowns", "hub.archive")),
        ("Routing rules", "route", "hub.rules_page", ("hub.rule",)),
        ("Limits", "gauge", "limits.overview", ("limits.",)),
    ]
    if access.may(access.ADMINISTER):
        places.append(("Webhooks", "webhook", "notices.webhooks_page", ("notices.webhook",)))
    return [
        {
            "label": label,
            "icon": icon,
            "url": url_for(endpoint, slug=slug),
            "active": (request.endpoint or "").startswith(prefixes),
        }
        for label, icon, endpoint, prefixes in places
        if g.role is not None or endpoint in FOR_GUESTS
    ]


def _projects() -> list[dict[str, Any]]:
    rows = db.session.scalars(access.scoped(Project).order_by(Project.created_at).limit(IN_SIDEBAR))
    here = (request.view_args or {}).get("id") if request.blueprint == "projects" else None
    return [{"name": p.name, "url": url_for("projects.show", id=p.id), "active": p.id == here} for p in rows]


def _sessions() -> list[dict[str, Any]]:
    rows = db.session.scalars(access.scoped(PromptSession).order_by(PromptSession.updated_at.desc()).limit(IN_SIDEBAR))
    here = (request.view_args or {}).get("id") if request.blueprint == "playground" else None
    return [{"title": s.title, "url": url_for("playground.show", id=s.id), "active": s.id == here} for s in rows]
