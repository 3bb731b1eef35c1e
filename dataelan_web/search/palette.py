"""What the command palette offers: sessions and projects by name, the pages of the shell, and acts that lead to one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask import g, url_for
from flask_login import current_user

from .. import access
from ..models import Project
from ..shell import navigation
from . import names

SESSIONS, PROJECTS = 8, 6


@dataclass(frozen=True)
class Item:
    label: str
    url: str
    icon: str
    hint: str = ""


@dataclass(frozen=True)
class Group:
    title: str
    items: list[Item]


def groups(typed: str) -> list[Group]:
    """In the order that they are shown; without a word, what one was at last comes first."""
    sessions = Group("Sessions", list(_sessions(typed)))
    projects = names.projects(typed, PROJECTS)
    found = [
        sessions,
        Group("Projects", [Item(p.name, url_for("projects.show", id=p.id), "folder") for p in projects]),
        Group("Pages", [item for item in _pages() if _fits(item, typed)]),
        Group("Do", [item for item in _acts(projects) if _fits(item, typed)]),
    ]
    if typed.strip():
        everywhere = Item(f"Search prompts and answers for “{typed.strip()}”", _search_url(typed), "search")
        found.append(Group("Search", [everywhere]))
    return [group for group in found if group.items]


def _sessions(typed: str) -> Iterator[Item]:
    icons = {"TEXT": "message-square", "CODE": "code", "IMAGE": "image", "VOICE": "volume", "VIDEO": "video"}
    for one in names.sessions(typed, SESSIONS):
        place = f"{one.project.name}, archived" if one.archived_at else one.project.name
        yield Item(one.title, url_for("playground.show", id=one.id), icons[one.model_type.value], place)


def _pages() -> Iterator[Item]:
    for place in navigation(g.organization.slug):
        yield Item(place["label"], place["url"], place["icon"], "Page")
    for other in access.organizations_of(current_user):
        if other.id != g.organization.id:
            hint = "Organization, deleted" if other.deleted_at else "Switch organization"
            yield Item(other.name, url_for("organizations.home", slug=other.slug), "building-2", hint)
    yield Item("Who may do what", url_for("organizations.help_roles"), "circle-help", "Help")


def _acts(projects: list[Project]) -> Iterator[Item]:
    """Each leads to the page where it is done, with its form open."""
    offered = projects or names.projects("", PROJECTS)
    for project in offered[:3]:
        if access.may(access.EDIT, project):
            url = url_for("projects.show", id=project.id, _anchor="new-session")
            yield Item(f"New session in {project.name}", url, "plus")
    if g.role is not None and access.may(access.EDIT):
        yield Item("New project", url_for("organizations.home", _anchor="new-project"), "folder-plus")
    yield Item("New organization", url_for("founding.new"), "building-2")
    if access.may(access.ADMINISTER):
        yield Item("Invite people", url_for("members.show", _anchor="invite"), "user-plus")


def _fits(item: Item, typed: str) -> bool:
    label = f"{item.label} {item.hint}".casefold()
    return all(word in label for word in typed.casefold().split())


def _search_url(typed: str) -> str:
    return url_for("search.search", q=typed.strip())
