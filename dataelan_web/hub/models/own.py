"""What an organization may do with models: add its own, switch them off, try one."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import select

from ... import access, audit
from ...extensions import db
from ...models import (
    APIKey,
    Model,
    Organization,
    Project,
    PromptSession,
    Provider,
    new_id,
)
from ...router.providers import lister
from ..providers.listing import make
from . import catalogue, prices, purpose

NEW_SESSION = "New session"


class Taken(Exception):
    """There is a model of that name."""


def add_by_hand(provider: Provider, organization: Organization, user_id: uuid.UUID, values: dict[str, Any]) -> Model:
    """A model of the organization's own, with a price or without. Raises Taken. Commits.

    `values`: the columns of Model, and `price` ({class: nano-USD}; None: unknown).
    """
    _make_sure_is_new(provider, organization, values["name"])
    price = values.pop("price")
    model = from_archive(provider, organization, values["name"])
    model = model or Model(id=new_id(), provider_id=provider.id, organization_id=organization.id)
    for name, value in values.items():
        setattr(model, name, value)
    db.session.add(model)
    audit.record("model.added", model, organization.id, provider=provider.slug)
    db.session.flush()
    if price is not None:
        prices.set_price(model, organization, user_id, price)
    db.session.commit()
    return model


def from_archive(provider: Provider, organization: Organization, name: str) -> Model | None:
    """The model of this name that was deleted and is wanted again, with its history. Does not commit."""
    its = (Model.provider_id == provider.id, Model.organization_id == organization.id, Model.name == name)
    model = db.session.scalars(select(Model).where(*its, Model.archived_at.is_not(None))).first()
    if model is not None:
        model.archived_at = None
    return model


def without_list() -> list[Provider]:
    """Providers that list no models themselves, and that the price catalogue knows. Some speak a format that has a list
    and do not serve it (Perplexity, Voyage): they have a key here, and nothing was ever listed."""
    rows = db.session.scalars(access.scoped(Provider).where(Provider.catalogue != "").order_by(Provider.name))
    with_key = set(db.session.scalars(access.scoped(APIKey).with_only_columns(APIKey.provider_id)))
    return [
        row
        for row in rows
        if lister(row.kind, row.base_url) is None or (row.id in with_key and row.models_listed_at is None)
    ]


def offered(provider: Provider) -> list[tuple[str, catalogue.Known, str]]:
    """(name, what is known, its task) of each model that the price catalogue has, and this provider here has not."""
    query = access.scoped(Model).where(Model.provider_id == provider.id).with_only_columns(Model.name)
    have = set(db.session.scalars(query))
    found = []
    for name, known in catalogue.models_of(provider.catalogue):
        use = purpose.task_of(name, known=known)
        if use and name not in have:
            found.append((name, known, use[1].value))
    return found


def add_from_catalogue(provider: Provider, organization: Organization, names: list[str]) -> list[Model]:
    """Those of these names that the catalogue offers. Commits."""
    wanted, added = set(names), []
    db.session.refresh(provider, with_for_update={"key_share": True})
    for name, known, _ in offered(provider):
        use = purpose.task_of(name, known=known)
        if name in wanted and use:
            found = from_archive(provider, organization, name)
            added.append(found or make(provider, name, use, known, organization.id))
            audit.record("model.added", added[-1], organization.id, provider=provider.slug, source=catalogue.SOURCE)
    db.session.flush()
    prices.refresh(added)
    db.session.commit()
    return added


def set_facts(model: Model, facts: dict[str, Any]) -> None:
    """Commits."""
    before = {name: getattr(model, name) for name in facts}
    for name, value in facts.items():
        setattr(model, name, value)
    audit.record("model.changed", model, model.organization_id, before=before, **facts)
    db.session.commit()


def set_enabled(model: Model, is_enabled: bool) -> None:
    """Commits."""
    if model.is_enabled != is_enabled:
        model.is_enabled = is_enabled
        audit.record("model.enabled" if is_enabled else "model.disabled", model, model.organization_id)
    db.session.commit()


def new_session(model: Model, project: Project, user_id: uuid.UUID) -> PromptSession:
    """An empty session whose first prompt goes to this model. Commits."""
    session = PromptSession(id=new_id(), project=project, title=NEW_SESSION, created_by=user_id)
    session.model_type = model.model_type
    session.settings = {**project.first_settings(model.model_type), "model": f"{model.provider.slug}/{model.name}"}
    db.session.add(session)
    db.session.commit()
    return session


def _make_sure_is_new(provider: Provider, organization: Organization, name: str) -> None:
    db.session.refresh(provider, with_for_update={"key_share": True})
    query = access.scoped(Model).where(Model.provider_id == provider.id, Model.name == name)
    if db.session.scalars(query).first():
        raise Taken(f"{provider.name} has a model “{name}” already.")
