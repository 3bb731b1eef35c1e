"""What a limit can count: its name, its place in words and on the site, and what there is to choose from."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import abort, g, url_for
from sqlalchemy import ColumnElement, Select, func, literal, or_, select

from .. import access
from ..extensions import db
from ..models import (
    APIKey,
    Collaborator,
    GatewayToken,
    Membership,
    Model,
    Organization,
    Project,
    Provider,
    Scope,
    User,
)
from ..models.base import NIL
from . import place

OFFERED = 50
Pair = tuple[Scope, uuid.UUID]


@dataclass(frozen=True)
class Kind:
    """How a scope reads: “Projects”, “A project”, “prompts of project Alpha”, “Project Alpha”."""

    many: str
    one: str
    prompts: str
    title: str
    why: str = ""


KINDS: Mapping[Scope, Kind] = {
    Scope.ORGANIZATION: Kind("Organization", "The whole organization", "prompts of {}", "{}", "everything it runs"),
    Scope.PROJECT: Kind("Projects", "A project", "prompts of project {}", "Project {}", "all that runs in one"),
    Scope.MEMBER: Kind("Members", "A member", "prompts of {}", "{}", "what one person asks, in every project"),
    Scope.TOKEN: Kind(
        "Gateway tokens",
        "A gateway token",
        "prompts through gateway token {}",
        "Gateway token {}",
        "what one program asks",
    ),
    Scope.KEY: Kind("API keys", "An API key", "prompts sent with API key {}", "API key {}", "what one key pays for"),
    Scope.PROVIDER: Kind("Providers", "A provider", "prompts to {}", "Provider {}", "what one provider answers"),
    Scope.MODEL: Kind("Models", "A model", "prompts to {}", "Model {}", "what one model answers"),
    Scope.PLATFORM: Kind(
        "Platform",
        "The whole platform",
        "prompts paid with the platform’s keys",
        "The whole platform",
        "all organizations together",
    ),
}
AMONG_ALL = Kind("Organizations", "An organization", "prompts of {}", "{}", "what one has Dataelan’s keys pay")
"""How an organization reads where there are several."""
CHOSEN = tuple(scope for scope in KINDS if scope is not Scope.PLATFORM)
"""What an organization's own limits can be on."""
OPERATORS = (Scope.PLATFORM, Scope.ORGANIZATION, Scope.PROVIDER, Scope.MODEL, Scope.KEY)
"""What the operator's can be on."""


@dataclass(frozen=True)
class Subject:
    scope: Scope
    id: uuid.UUID
    name: str
    detail: str = ""
    """What it belongs to: a key's provider, a token's project."""

    @property
    def kind(self) -> Kind:
        return KINDS[self.scope]

    @property
    def key(self) -> str:
        """As a form and an address have it."""
        return f"{self.scope.value}:{self.id}"

    @property
    def title(self) -> str:
        return self.kind.title.format(self.name)

    @property
    def prompts(self) -> str:
        return self.kind.prompts.format(self.name)

    @property
    def url(self) -> str | None:
        """Its own page, where the signed-in person may open one."""
        if place.is_operators():
            return url_for("admin.show_home", id=self.id) if self.scope is Scope.ORGANIZATION else None
        if self.scope is Scope.PROJECT:
            return url_for("projects.show", id=self.id)
        if self.scope is Scope.MODEL:
            return url_for("hub.model", id=self.id)
        return url_for("hub.provider", id=self.id) if self.scope is Scope.PROVIDER else None


NONE = literal("")


@dataclass(frozen=True)
class Source:
    """Where the subjects of a scope are: (table, name, detail)."""

    table: Any
    name: Any
    detail: Any = NONE


def _named(of: Any, where: Any) -> Any:
    """A name out of another table than the subject's."""
    return select(of.name).where(of.id == where).correlate(where.class_).scalar_subquery()


SOURCES: Mapping[Scope, Source] = {
    Scope.ORGANIZATION: Source(Organization, Organization.name),
    Scope.PROJECT: Source(Project, Project.name),
    Scope.MEMBER: Source(User, User.name, User.email),
    Scope.TOKEN: Source(GatewayToken, GatewayToken.label, _named(Project, GatewayToken.project_id)),
    Scope.KEY: Source(
        APIKey, APIKey.label + func.concat(" ••••", APIKey.last_four), _named(Provider, APIKey.provider_id)
    ),
    Scope.PROVIDER: Source(Provider, Provider.name),
    Scope.MODEL: Source(Model, Model.display_name, _named(Provider, Model.provider_id)),
}


def chosen_from() -> tuple[Scope, ...]:
    """What a limit that is set here can be on."""
    return OPERATORS if place.is_operators() else CHOSEN


def kind_here(scope: Scope) -> Kind:
    return AMONG_ALL if scope is Scope.ORGANIZATION and place.is_operators() else KINDS[scope]


def whole() -> Scope:
    """Of these, that of which there is but one."""
    return Scope.PLATFORM if place.is_operators() else Scope.ORGANIZATION


def usual() -> Scope:
    """What a new one is offered to be on."""
    return Scope.PLATFORM if place.is_operators() else Scope.PROJECT


def names_of(pairs: Iterable[Pair]) -> dict[Pair, Subject]:
    """One query a scope. What is gone has a name that says so."""
    wanted: dict[Scope, set[uuid.UUID]] = {}
    for scope, id in pairs:
        wanted.setdefault(scope, set()).add(id)
    found = {(scope, id): _nameless(scope, id) for scope, ids in wanted.items() for id in ids}
    for scope, ids in wanted.items():
        if scope in SOURCES:
            source = SOURCES[scope]
            rows = db.session.execute(
                select(source.table.id, source.name, source.detail).where(source.table.id.in_(ids))
            )
            found.update({(scope, id): Subject(scope, id, name, detail) for id, name, detail in rows})
    return found


def offered(scope: Scope, q: str = "", limit: int = OFFERED) -> list[Subject]:
    """What an owner or admin can choose, by name, where each word of `q` is in the name or what it belongs to."""
    source, query = SOURCES[scope], _here(scope)
    for word in q.split()[:5]:
        pattern = f"%{word.replace('%', chr(92) + '%').replace('_', chr(92) + '_')}%"
        query = query.where(or_(source.name.ilike(pattern), source.detail.ilike(pattern)))
    rows = db.session.execute(query.order_by(func.lower(source.name), source.table.id).limit(limit))
    return [Subject(scope, *row) for row in rows]


def find(scope: Scope, id: uuid.UUID) -> Subject:
    """404 for what is not there to be chosen."""
    row = db.session.execute(_here(scope).where(SOURCES[scope].table.id == id)).first()
    return Subject(scope, *row) if row else abort(404)


def parse(key: str, scope: Scope) -> Subject | None:
    """What a form names, as Subject.key has it. None: nothing, or of another scope. 404: what is not there."""
    if scope is whole():
        return _nameless(scope, NIL) if scope is Scope.PLATFORM else find(scope, g.organization.id)
    named, _, id = key.partition(":")
    if named != scope.value:
        return None
    try:
        return find(scope, uuid.UUID(id))
    except ValueError:
        abort(404)


def _here(scope: Scope) -> Select[Any]:
    """(id, name, detail) of all that this organization can limit, or the operator."""
    source = SOURCES[scope]
    columns = (source.table.id, source.name, source.detail)
    if place.owner_id() is None:
        return select(*columns).where(*_everybodys(scope))
    match scope:
        case Scope.ORGANIZATION:
            return select(*columns).where(Organization.id == g.organization.id)
        case Scope.MEMBER:
            member = select(Membership.user_id).where(Membership.organization_id == g.organization.id)
            mine = (Collaborator.project_id == Project.id) & (Project.organization_id == g.organization.id)
            guest = select(Collaborator.user_id).where(mine)
            return select(*columns).where(User.id.in_(member) | User.id.in_(guest))
    query = access.scoped(source.table).with_only_columns(*columns)
    match scope:
        case Scope.TOKEN:
            return query.where(GatewayToken.revoked_at.is_(None))
        case Scope.PROVIDER:
            return query.where(~Provider.needs_address)
    return query


def _everybodys(scope: Scope) -> tuple[ColumnElement[bool], ...]:
    """What the operator can limit: organizations, and what is everybody's."""
    match scope:
        case Scope.ORGANIZATION:
            return (Organization.purged_at.is_(None),)
        case Scope.KEY:
            return APIKey.organization_id.is_(None), APIKey.archived_at.is_(None)
        case Scope.PROVIDER:
            return Provider.organization_id.is_(None), Provider.archived_at.is_(None), ~Provider.needs_address
        case Scope.MODEL:
            shared = select(Provider.id).where(Provider.organization_id.is_(None), Provider.archived_at.is_(None))
            return Model.organization_id.is_(None), Model.archived_at.is_(None), Model.provider_id.in_(shared)
    abort(404)


def _nameless(scope: Scope, id: uuid.UUID) -> Subject:
    return Subject(scope, id, "everyone" if scope is Scope.PLATFORM else "(deleted)")
