"""Pages that the palette leads to by name, beside those of the sidebar: what lies behind a tab or a menu."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flask import g, url_for
from flask_login import current_user

from .. import access
from ..models import Project
from ..shell import platform
from . import names

PROJECTS = 3


@dataclass(frozen=True)
class Place:
    """`right`: in the organization, or the project (access.SEE …); 0: whoever is in it, as a guest too."""

    label: str
    icon: str
    endpoint: str
    right: int
    values: dict[str, Any] = field(default_factory=dict)
    project_is: str = "project_id"
    """What the address of a project's page calls it."""


OF_ORGANIZATION = (
    Place("Notices", "bell", "notices.notices", 0),
    Place("Spend", "bar-chart-3", "dashboards.show", 0, {"page": "spend"}),
    Place("Performance", "bar-chart-3", "dashboards.show", 0, {"page": "performance"}),
    Place("Quotas", "bar-chart-3", "dashboards.show", 0, {"page": "quota"}),
    Place("Routing", "bar-chart-3", "dashboards.show", 0, {"page": "routing"}),
    Place("Your own usage", "bar-chart-3", "dashboards.show", 0, {"page": "mine"}),
    Place("All runs", "activity", "dashboards.explore", 0),
    Place("Views of the dashboard", "bar-chart-3", "dashboards.views", 0),
    Place("Weekly and monthly summaries", "bar-chart-3", "summaries.latest", 0),
    Place("Note on the charts", "bar-chart-3", "dashboards.new_note", access.EDIT),
    Place("Shutdowns of models", "clock", "hub.shutdowns_page", access.SEE),
    Place("Price catalogue", "boxes", "hub.price_catalogue", access.SEE),
    Place("Add a provider", "plus", "hub.new_provider", access.ADMINISTER),
    Place("Add a model", "plus", "hub.model_form", access.ADMINISTER),
    Place("New routing rule", "plus", "hub.rule_new", access.ADMINISTER),
    Place("New limit", "plus", "limits.new", access.ADMINISTER),
    Place("New limit on speed", "plus", "limits.new_rate", access.ADMINISTER),
    Place("Archive of the hub", "archive", "hub.archive", access.ADMINISTER),
    Place("Import and export of the hub", "download", "hub.transfer", access.ADMINISTER),
    Place("Settings of the hub", "settings", "hub.hub_settings", access.ADMINISTER),
    Place("Public links", "share", "sharing.all_links", access.ADMINISTER),
    Place("Sign-in", "settings", "organizations.show_sign_in", access.ADMINISTER),
    Place("Single sign-on", "settings", "sso_settings.show", access.ADMINISTER),
    Place("Personal or team", "settings", "organizations.show_kind", access.ADMINISTER),
    Place("Service accounts", "bot", "programs.index", access.ADMINISTER),
    Place("Audit log", "scroll-text", "audit_log.show", access.ADMINISTER),
    Place("Ownership and data", "settings", "organizations.show_ownership", access.OWN),
)
OF_ACCOUNT = (
    Place("Your account", "user", "account.show", 0),
    Place("Two-factor sign-in", "user", "account.show_two_factor", 0),
    Place("Passkeys", "key", "account.show_passkeys", 0),
    Place("Your data", "user", "account.show_data", 0),
)
OF_PROJECT = (
    Place("Prompts", "scroll-text", "prompts.index", 0),
    Place("Batches", "layers", "batches.index", 0),
    Place("New batch", "layers", "batches.new", access.EDIT),
    Place("Actions", "zap", "actions.index", 0),
    Place("Waiting for approval", "zap", "actions.approvals", 0),
    Place("Calls of actions", "zap", "actions.calls", 0),
    Place("New action", "plus", "actions.new", access.ADMINISTER),
    Place("Files", "paperclip", "playground.files", 0, project_is="id"),
    Place("Gateway tokens", "key", "projects.tokens", 0, project_is="id"),
    Place("API", "terminal", "gateway_docs.show", 0, project_is="id"),
    Place("Import conversations", "download", "imports.new_import", access.EDIT, project_is="id"),
    Place("People", "users", "members.project_people", 0, project_is="id"),
)


def pages() -> Iterator[tuple[str, str, str, str]]:
    """(label, address, icon, hint) of all that the signed-in person may open, in the order of the tables."""
    for place in OF_ORGANIZATION:
        if not place.right or access.may(place.right):
            yield place.label, url_for(place.endpoint, **place.values), place.icon, "Page"
    for place in OF_ACCOUNT:
        yield place.label, url_for(place.endpoint), place.icon, "Your account"
    if access.is_superuser(current_user) and g.get("impersonator") is None:
        for found in platform():
            yield found["label"], found["url"], found["icon"], "Administration"


def of_projects(typed: str) -> Iterator[tuple[Project, Place, str]]:
    """Pages of projects that are named so: words of a page's name, and others of its project's. With their address."""
    words = typed.casefold().split()
    for place in OF_PROJECT:
        rest = [word for word in words if not _begins(place.label, word)]
        if len(rest) == len(words):
            continue
        for project in names.projects(" ".join(rest), PROJECTS):
            if place.right and not access.may(place.right, project):
                continue
            named: dict[str, Any] = {place.project_is: project.id}
            yield project, place, url_for(place.endpoint, **named)


def _begins(label: str, word: str) -> bool:
    """A letter or two begin too much."""
    return len(word) > 2 and any(part.startswith(word) for part in label.casefold().split())
