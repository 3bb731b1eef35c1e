"""What the signed-in layout shows on every page: where one is, and where one can go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import Any

from flask import Flask, g, request, url_for
from flask_login import current_user
from sqlalchemy import JSON, Row, ScalarSelect, Select, func, select

from . import access, audit
from .extensions import db
from .models import Answer, Increase, Organization, Project, PromptSession, Role, Star
from .models.holders import HOLDERS, joined
from .models.limits import ASKED_OF_OPERATOR
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
    "sso_settings.",
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
    anywhere: dict[str, Any] = {"account_url": url_for("account.show")}
    if access.through() is None:
        anywhere["new_organization_url"] = url_for("founding.new")
    if behind := audit.impersonator():
        anywhere["acting"] = {"by": behind.name, "until": g.sign_in.acting_until, "end_url": url_for("acting.end")}
    if access.is_superuser(current_user) or access.lacks_a_factor():  # the way there says what is missing
        anywhere["admin_url"] = url_for("admin.start")
    if request.blueprint in ("admin", "admin_hub", "admin_limits", "admin_trash"):
        mine = Later(lambda: access.organizations_of(current_user))
        return {**anywhere, "organizations": mine, "nav": Later(platform), "place": "Administration"}
    if "organization" not in g:
        return anywhere
    organization = g.organization
    return {
        "organization": organization,
        "organizations": Later(lambda: [{"name": name, "slug": slug} for name, slug in _listed().organizations]),
        "count_unread": lambda: _listed().unread,
        "nav": Later(lambda: navigation(organization.slug)),
        "sidebar_projects": Later(_projects),
        "sidebar_starred": Later(lambda: _sessions(_listed().starred)),
        "sidebar_sessions": Later(lambda: _sessions(_listed().sessions)),
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
        ("Providers and keys", "key", "admin.show_platform"),
        ("Routing rules", "route", "admin_hub.rules_page"),
        ("Limits", "gauge", "admin_limits.overview"),
        ("Audit log", "scroll-text", "admin.show_audit"),
        ("Modes and settings", "settings", "admin.show_settings"),
        ("Trash", "trash", "admin_trash.trash_page"),
    ]
    counts = {"admin_limits.overview": _asked_of_operator()}
    further = {"admin.show_platform": tuple(f"admin_{name}" for name in HUB)}
    return [
        {
            "label": label,
            "icon": icon,
            "url": url_for(to),
            "active": request.path.startswith(url_for(to))
            or (request.endpoint or "").startswith(further.get(to, (to,))),
            "count": counts.get(to, 0),
        }
        for label, icon, to in places
    ]


def _asked_of_operator() -> int:
    """Requests for more of the operator's limits that wait for an answer: a superuser who belongs to no organization is
    told by nothing else."""
    is_there = (limit.deleted_at.is_(None) for limit in HOLDERS[Increase])
    open_ones = joined(Increase).where(Increase.answer == Answer.ASKED, ASKED_OF_OPERATOR, *is_there)
    return db.session.scalar(open_ones.with_only_columns(func.count(Increase.id))) or 0


def _projects() -> list[dict[str, Any]]:
    here = _shown("projects")
    return [
        {"name": name, "url": url_for("projects.show", id=id), "active": id == here} for id, name in _listed().projects
    ]


def _sessions(listed: list[list[str]]) -> list[dict[str, Any]]:
    here = _shown("playground")
    return [
        {"title": title, "type": type, "url": url_for("playground.show", id=id), "active": id == here}
        for id, title, type in listed
    ]


def _shown(blueprint: str) -> str:
    """The id of what this page is about, if it is one of this feature's."""
    return str((request.view_args or {}).get("id")) if request.blueprint == blueprint else ""


def _listed() -> Row[Any]:
    """All that the sidebar lists, as arrays of columns. Read once a request."""
    if "sidebar" not in g:
        g.sidebar = db.session.execute(_asked(g.role)).one()
    return g.sidebar  # type: ignore[no-any-return]


@cache
def _asked(role: Role | None) -> Select[*tuple[Any, ...]]:
    """For who has this role here, in one question, since every page asks it. What is archived is in no list."""
    named = Organization.id, Organization.name, Organization.slug, access.is_opened().label("is_opened")
    mine = access.MINE.with_only_columns(*named).cte("mine")
    projects = access.seen_by(role, Project).order_by(Project.created_at).limit(IN_SIDEBAR)
    sessions = access.seen_by(role, PromptSession).where(PromptSession.archived_at.is_(None))
    titles = sessions.with_only_columns(PromptSession.id, PromptSession.title, PromptSession.model_type)
    latest = titles.order_by(PromptSession.updated_at.desc()).limit(IN_SIDEBAR)
    has_star = PromptSession.id.in_(select(Star.session_id).where(Star.user_id == access.ASKER))
    return select(
        _array(select(mine.c.name, mine.c.slug).order_by(mine.c.name)).label("organizations"),
        inbox.counted(access.ASKER, select(mine.c.id).where(mine.c.is_opened)).label("unread"),
        _array(projects.with_only_columns(Project.id, Project.name)).label("projects"),
        _array(latest.where(has_star)).label("starred"),
        _array(latest.where(~has_star)).label("sessions"),
    )


def _array(query: Select[*tuple[Any, ...]]) -> ScalarSelect[Any]:
    """Its rows, in its order, as one value: `[[id, name], …]`."""
    rows = query.subquery()
    each, none = func.json_build_array(*rows.c), func.json_build_array()
    return select(func.coalesce(func.json_agg(each, type_=JSON), none)).scalar_subquery()
