"""What the command palette offers: what there is by its name, pages, and acts that lead to one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask import g, url_for
from flask_login import current_user

from .. import access
from ..models import Project
from ..shell import navigation
from . import names, places

SESSIONS, PROJECTS, OTHERS = 8, 6, 5


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
        Group("Projects", [*_projects(projects), *(_inside_projects(typed) if typed.strip() else ())]),
        *(_named(typed) if typed.strip() else ()),
        Group("Pages", [item for item in _pages(typed) if _fits(item, typed)]),
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


def _projects(projects: list[Project]) -> Iterator[Item]:
    for project in projects:
        yield Item(project.name, url_for("projects.show", id=project.id), "folder")


def _inside_projects(typed: str) -> Iterator[Item]:
    for project, place, url in places.of_projects(typed):
        yield Item(place.label, url, place.icon, project.name)


def _named(typed: str) -> Iterator[Group]:
    """What else of projects has a name, and of the hub; once something is typed."""
    for title, icon, to, found in (
        ("Prompts", "scroll-text", "prompts.show", names.prompts(typed, OTHERS)),
        ("Batches", "layers", "batches.show", names.batches(typed, OTHERS)),
        ("Actions", "zap", "actions.show", names.actions(typed, OTHERS)),
    ):
        yield Group(title, [Item(one.name, url_for(to, id=one.id), icon, one.project.name) for one in found])
    yield Group("Hub", list(_of_hub(typed)))


def _of_hub(typed: str) -> Iterator[Item]:
    """For whom it is open: no guest of a project, and rules for those who may change them."""
    if not access.may(access.SEE):
        return
    for provider in names.providers(typed, OTHERS):
        yield Item(provider.name, url_for("hub.provider", id=provider.id), "key", "Provider")
    for model in names.models(typed, OTHERS):
        yield Item(model.name, url_for("hub.model", id=model.id), "boxes", model.provider.name)
    for rule in names.rules(typed, OTHERS) if access.may(access.ADMINISTER) else ():
        yield Item(rule.name, url_for("hub.rule", id=rule.id), "route", "Routing rule")


def _pages(typed: str) -> Iterator[Item]:
    """Those of the sidebar; once something is typed, all."""
    for place in navigation(g.organization.slug):
        yield Item(place["label"], place["url"], place["icon"], "Page")
    for other in access.organizations_of(current_user):
        if other.id != g.organization.id:
            hint = "Organization, deleted" if other.deleted_at else "Switch organization"
            yield Item(other.name, url_for("organizations.home", slug=other.slug), "building-2", hint)
    yield Item("Who may do what", url_for("organizations.help_roles"), "circle-help", "Help")
    if typed.strip():
        yield from (Item(*found) for found in places.pages())


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
