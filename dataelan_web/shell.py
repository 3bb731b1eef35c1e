"""What the signed-in layout shows on every page: where one is, and where one can go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from flask import Flask, g, request, url_for
from flask_login import current_user
from sqlalchemy import select

from . import access, audit
from .extensions import db
from .models import Project, PromptSession, Role, Star
from .notify import inbox

IN_SIDEBAR = 8
HUB = tuple(f"hub.{name}" for name in "provider new_provider connect change create key replace hub_settings".split())
"""Endpoints of the pages of providers, keys and settings, by how they begin."""

SETTINGS = (
    "organizations.show",
    "organizations.change",
    "organizations.delete",
    "organizations.transfer",
    "programs.",
    "audit_log.",
)
"""Of the settings, in the same way."""
KEYS = {"organizations.home": "h", "dashboards.show": "d", "search.search": "s", "trash.trash_page": "t"}
"""What one presses after g to go there (static/palette.js)."""
FOR_GUESTS = ("organizations.home", "dashboards.show", "search.search", "trash.trash_page", "limits.overview")
"""Pages of the whole organization that show a guest their own projects."""


class Later:
    """A list that is read when a template comes to it. A fragment never does."""

    def __init__(self, read: Callable[[], list[Any]]):
        self._read = read

    @cached_property
    def _rows(self) -> list[Any]:
        return self._read()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def init_app(app: Flask) -> None:
    app.context_processor(shell)


def shell() -> dict[str, Any]:
    """The context of templates/shell.html; nothing for a visitor, and little for who belongs nowhere."""
    if not current_user.is_authenticated:
        return {}
    anywhere: dict[str, Any] = {"new_organization_url": url_for("founding.new"), "account_url": url_for("account.show")}
    if behind := audit.impersonator():
        anywhere["acting"] = {"by": behind.name, "until": g.sign_in.acting_until, "end_url": url_for("acting.end")}
    if current_user.is_superuser:
        anywhere["admin_url"] = url_for("admin.start")
    if request.blueprint == "admin":
        mine = Later(lambda: access.organizations_of(current_user))
        return {**anywhere, "organizations": mine, "nav": platform(), "place": "Administration"}
    if "organization" not in g:
        return anywhere
    organization, organizations = g.organization, Later(lambda: access.organizations_of(current_user))
    return {
        "organization": organization,
        "organizations": organizations,
        "count_unread": lambda: inbox.unread(db.session, current_user.id, [one.id for one in organizations]),
        "nav": Later(lambda: navigation(organization.slug)),
        "sidebar_projects": Later(_projects),
        "sidebar_starred": Later(lambda: _sessions()[0]),
        "sidebar_sessions": Later(lambda: _sessions()[1]),
        "can_edit": access.may(access.EDIT, getattr(g, "project", None)),
        "can_administer": access.may(access.ADMINISTER),
        "can_own_organization": g.role is Role.OWNER,
        **anywhere,
    }


def navigation(slug: str) -> list[dict[str, Any]]:
    places = [
        ("Home", "home", "organizations.home", ("organizations.home",)),
        ("Dashboard", "bar-chart-3", "dashboards.show", ("dashboards.",)),
        ("Search", "search", "search.search", ("search.",)),
        ("Providers and keys", "key", "hub.providers", HUB),
        ("Models", "boxes", "hub.models", ("hub.model", "hub.shutdowns", "hub.archive")),
        ("Routing rules", "route", "hub.rules_page", ("hub.rule",)),
        ("Limits", "gauge", "limits.overview", ("limits.",)),
    ]
    places.append(("Members", "users", "members.show", ("members.show",)))
    if access.may(access.ADMINISTER):
        places.append(("Webhooks", "webhook", "notices.webhooks_page", ("notices.webhook",)))
        places.append(("Settings", "settings", "organizations.show_settings", SETTINGS))
    places.append(("Trash", "trash", "trash.trash_page", ("trash.",)))
    return [
        {
            "label": label,
            "icon": icon,
            "key": KEYS.get(endpoint, ""),
            "url": url_for(endpoint, slug=slug),
            "active": (request.endpoint or "").startswith(prefixes),
        }
        for label, icon, endpoint, prefixes in places
        if g.role is not None or endpoint in FOR_GUESTS
        if endpoint != "trash.trash_page" or g.role is not Role.VIEWER
    ]


def platform() -> list[dict[str, Any]]:
    """Where a superuser can go beside their own organizations."""
    places = [
        ("Queue and workers", "activity", "admin.show_queue"),
        ("People", "users", "admin.show_people"),
        ("Organizations", "building-2", "admin.show_homes"),
        ("Providers and limits", "plug", "admin.show_platform"),
        ("Audit log", "scroll-text", "admin.show_audit"),
        ("Modes and settings", "settings", "admin.show_settings"),
    ]
    return [
        {"label": label, "icon": icon, "url": url_for(to), "active": request.path.startswith(url_for(to))}
        for label, icon, to in places
    ]


def _projects() -> list[dict[str, Any]]:
    rows = db.session.scalars(access.scoped(Project).order_by(Project.created_at).limit(IN_SIDEBAR))
    here = (request.view_args or {}).get("id") if request.blueprint == "projects" else None
    return [{"name": p.name, "url": url_for("projects.show", id=p.id), "active": p.id == here} for p in rows]


def _sessions() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(one's starred ones, the latest of the others). What is archived is in neither. Read once a request."""
    if "sidebar_sessions" not in g:
        mine = select(Star.session_id).where(Star.user_id == current_user.id)
        listed = access.scoped(PromptSession).where(PromptSession.archived_at.is_(None))
        latest = PromptSession.updated_at.desc()
        starred = list(db.session.scalars(listed.where(PromptSession.id.in_(mine)).order_by(latest).limit(IN_SIDEBAR)))
        others = db.session.scalars(listed.where(PromptSession.id.not_in(mine)).order_by(latest).limit(IN_SIDEBAR))
        g.sidebar_sessions = (_shown(starred), _shown(list(others)))
    return g.sidebar_sessions  # type: ignore[no-any-return]


def _shown(sessions: list[PromptSession]) -> list[dict[str, Any]]:
    here = (request.view_args or {}).get("id") if request.blueprint == "playground" else None
    return [{"title": s.title, "url": url_for("playground.show", id=s.id), "active": s.id == here} for s in sessions]
