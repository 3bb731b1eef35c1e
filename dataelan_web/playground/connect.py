"""“Use your own key”, in a newcomer's first session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import g
from sqlalchemy import func, select

from .. import access
from ..extensions import db
from ..hub.models.prices import in_force
from ..hub.providers import servers
from ..models import APIKey, Model, ModelType, Price, PromptSession, Provider
from ..router.types import Task


def is_newcomer(session: PromptSession) -> bool:
    """A session with a starter, in an organization that has connected nothing yet."""
    if not session.settings.get("starter") or not access.may(access.ADMINISTER):
        return False
    keys = select(func.count()).where(APIKey.organization_id == g.organization.id).scalar_subquery()
    own = select(func.count()).where(Provider.organization_id == g.organization.id).scalar_subquery()
    return not db.session.scalar(select(keys + own))


def newcomer() -> dict[str, Any]:
    """What the card shows: the providers to choose from, a local server when one answers."""
    rows = db.session.scalars(
        access.scoped(Provider).where(Provider.needs_key, ~Provider.needs_address).order_by(Provider.created_at)
    )
    found = servers.found_locally(g.organization)
    return {
        "providers": [(row.id, row.name) for row in rows],
        "found": found[0] if found else None,
    }


def prefer(session: PromptSession, provider: Provider, names: Sequence[str]) -> None:
    """Let the session's next prompt go to one of these models: the cheapest priced text model, or the first."""
    cheapest = db.session.scalar(
        access.scoped(Model)
        .with_only_columns(Model.name)
        .outerjoin(Price, Price.id == in_force(session.project.organization_id))
        .where(
            Model.provider_id == provider.id,
            Model.model_type == ModelType.TEXT,
            Model.task == Task.CHAT,
            Model.name.in_(names),
        )
        .order_by(Price.output.asc().nulls_last(), Model.name)
        .limit(1)
    )
    if cheapest:
        session.remember(model=f"{provider.slug}/{cheapest}")
        db.session.commit()
