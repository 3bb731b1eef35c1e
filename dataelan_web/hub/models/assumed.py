"""Prices that nobody said: a server at home costs nothing as long as it asks for no key; all else is unknown."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy import ColumnElement, and_, func, select, update

from ... import audit
from ...extensions import db
from ...models import Model, Organization, Price, Provider, now
from . import catalogue
from .prices import in_force, put_price

AT_HOME = "a server of your own"
"""The source of a price that was assumed."""


def assume_free(models: Iterable[Model]) -> None:
    """Of those that have no price yet. Does not commit."""
    for model in models:
        if not model.prices:
            model.prices = [catalogue.free(AT_HOME)]


def end(provider: Provider) -> None:
    """It has a key now, or lies elsewhere, so somebody may be billed: what was assumed is unknown from now on, until
    somebody says it. Does not commit."""
    its = Price.model_id.in_(select(Model.id).where(Model.provider_id == provider.id))
    assumed = (its, Price.organization_id.is_(None), Price.source == AT_HOME, Price.ends_at.is_(None))
    ended = db.session.scalars(update(Price).where(*assumed).values(ends_at=now()).returning(Price.id)).all()
    if ended:
        audit.record("provider.prices_unknown", provider, models=len(ended))


def state_free(provider: Provider, organization: Organization, user_id: uuid.UUID | None) -> int:
    """Say of every model of unknown price that it costs nothing: of how many. Commits."""
    models = db.session.scalars(select(Model).where(_is_unpriced(provider, organization)).order_by(Model.id)).all()
    for model in models:
        put_price(model, organization, user_id, {})
    db.session.commit()
    return len(models)


def unpriced_count(provider: Provider, organization: Organization) -> int:
    query = select(func.count()).select_from(Model).where(_is_unpriced(provider, organization))
    return db.session.scalar(query) or 0


def _is_unpriced(provider: Provider, organization: Organization) -> ColumnElement[bool]:
    its = and_(Model.provider_id == provider.id, Model.archived_at.is_(None))
    return and_(its, in_force(organization.id).is_(None))
