"""What the pages of providers and keys show: rows with the numbers and words beside them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import g
from sqlalchemy import ColumnElement, and_, func, or_, select

from ... import access, place
from ...executions.health import health as vitals
from ...extensions import db
from ...models import APIKey, Budget, BudgetPeriod, KeyStrategy, Model, Provider, Scope, Unit, Window, now
from ...models.base import NIL
from ...models.hub import ENTER_AGAIN
from ...router.health import RESTED, Rest
from ...router.types import Kind

WORDS = {
    Kind.CREDENTIAL: "Refused",
    Kind.BILLING: "No credit left",
    Kind.RATE_LIMIT: "Rate limit",
}


@dataclass(frozen=True)
class Health:
    tone: str
    """good, warn, danger, or neutral."""
    text: str
    detail: str = ""


@dataclass
class Shown:
    """A provider with its keys and how many models there are."""

    provider: Provider
    models_count: int = 0
    keys: list[APIKey] = field(default_factory=list)

    @property
    def is_connected(self) -> bool:
        return not self.provider.needs_address and bool(self.keys or not self.provider.needs_key)


def providers() -> tuple[list[Shown], list[Shown], list[Shown]]:
    """(with a key or needing none, waiting for a key, patterns that need an address), by name."""
    keys: dict[uuid.UUID, list[APIKey]] = {}
    for key in db.session.scalars(access.scoped(APIKey).order_by(APIKey.is_default.desc(), APIKey.id)):
        keys.setdefault(key.provider_id, []).append(key)
    counts = _model_counts()
    rows = db.session.scalars(access.scoped(Provider).order_by(func.lower(Provider.name), Provider.id))
    _with_health([key for of_one in keys.values() for key in of_one])
    shown = [Shown(row, counts[row.id], keys.get(row.id, [])) for row in rows]
    connected = [one for one in shown if one.is_connected]
    waiting = [one for one in shown if not one.is_connected and not one.provider.needs_address]
    return connected, waiting, [one for one in shown if one.provider.needs_address]


def patterns() -> list[Provider]:
    query = access.scoped(Provider).where(Provider.needs_address)
    return list(db.session.scalars(query.order_by(func.lower(Provider.name))))


def keys_of(provider: Provider) -> list[APIKey]:
    """Those of whoever this page is for, the default first, each with its health, its last day and what it spent
    today."""
    mine = place.seen(APIKey).where(APIKey.provider_id == provider.id)
    keys = list(db.session.scalars(mine.order_by(APIKey.is_default.desc(), APIKey.id)))
    spent = _spent_today([key.id for key in keys if key.daily_quota is not None])
    zone = ZoneInfo(place.time_zone())
    for key in keys:
        key.spent_today = spent.get(key.id, 0)  # type: ignore[attr-defined]
        key.last_day = last_day(key, zone)  # type: ignore[attr-defined]
    _with_health(keys)
    return keys


def health_of(key: APIKey) -> Health:
    """How a key is doing, in a word."""
    return health(key, _rests([key])[key.id])


def health(key: APIKey, rest: Rest = RESTED) -> Health:
    """… where it is known whether it rests."""
    if not key.is_enabled:
        return Health("neutral", "Switched off")
    if key.expires_at and key.expires_at <= now():
        return Health("warn", "Expired")
    if rest.until > now().timestamp():
        until = datetime.fromtimestamp(rest.until, UTC)
        return Health("warn", f"Rests until {until:%H:%M} UTC", key.last_error or rest.why)
    if key.last_error and not (key.last_used_at and key.last_error_at and key.last_used_at > key.last_error_at):
        known = Kind(key.last_error_kind) if key.last_error_kind in set(Kind) else None
        return Health("danger", WORDS.get(known, "Failed") if known else "Failed", key.last_error)
    return Health("good", "Working") if key.last_used_at else Health("neutral", "Not used yet")


def last_day(key: APIKey, zone: ZoneInfo) -> date | None:
    """On which it may be used, by the calendar there; None: it does not expire."""
    return (key.expires_at - timedelta(microseconds=1)).astimezone(zone).date() if key.expires_at else None


def known_models(provider: Provider) -> list[str]:
    """Names that are known here of the provider's models."""
    return list(db.session.scalars(_models_here().where(Model.provider_id == provider.id).order_by(Model.name)))


def models_count(provider: Provider) -> int:
    return _model_counts(provider.id)[provider.id]


def platform_providers() -> list[str]:
    """Names of the providers that the platform has a key for that can be used now."""
    keys = select(APIKey.provider_id).where(_is_platforms())
    return list(db.session.scalars(select(Provider.name).where(Provider.id.in_(keys)).order_by(Provider.name)))


def has_platform_key(provider: Provider) -> bool:
    """May the platform's key be used for it here?"""
    if g.organization.key_strategy is KeyStrategy.BYOK:
        return False
    its = select(APIKey.id).where(APIKey.provider_id == provider.id, _is_platforms())
    return db.session.scalar(its.limit(1)) is not None


def _is_platforms() -> ColumnElement[bool]:
    """And can be used now, as executions see it (usable_keys)."""
    lives = or_(APIKey.expires_at.is_(None), APIKey.expires_at > func.now())
    return and_(APIKey.organization_id.is_(None), APIKey.is_enabled, lives, APIKey.last_error != ENTER_AGAIN)


def _with_health(keys: list[APIKey]) -> None:
    rests = _rests(keys)
    for key in keys:
        key.health = health(key, rests[key.id])  # type: ignore[attr-defined]


def _rests(keys: Sequence[APIKey]) -> dict[uuid.UUID, Rest]:
    """Which keys the router leaves alone for a while, whatever the model."""
    found = vitals().read([(NIL, key.id) for key in keys])
    return {key.id: vital.key_rest if (vital := found.get((NIL, key.id))) else RESTED for key in keys}


def _models_here() -> Any:
    ours = or_(Model.organization_id == place.owner_id(), Model.organization_id.is_(None))
    return select(Model.name).where(ours, Model.archived_at.is_(None))


def _model_counts(provider_id: uuid.UUID | None = None) -> Counter[uuid.UUID]:
    query = _models_here().with_only_columns(Model.provider_id, func.count()).group_by(Model.provider_id)
    if provider_id:
        query = query.where(Model.provider_id == provider_id)
    return Counter(dict(db.session.execute(query).all()))


def _spent_today(keys: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Key → nano-USD spent and held in the day that runs now."""
    query = (
        select(Budget.subject_id, BudgetPeriod.spent + BudgetPeriod.reserved)
        .join(BudgetPeriod, BudgetPeriod.budget_id == Budget.id)
        .where(Budget.scope == Scope.KEY, Budget.window == Window.DAY, Budget.unit == Unit.USD)
        .where(Budget.subject_id.in_(keys), Budget.deleted_at.is_(None))
        .where(BudgetPeriod.starts_at <= func.now(), BudgetPeriod.ends_at > func.now())
    )
    return dict(db.session.execute(query).all()) if keys else {}
