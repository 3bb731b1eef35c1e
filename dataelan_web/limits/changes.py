"""Limits made, changed and put into the trash. Every verb commits and is in the audit, with what it was before."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from flask_login import current_user
from sqlalchemy import func, select

from .. import audit, quota
from ..extensions import db
from ..models import Budget, Organization, RateLimit, Scope, Unit, Window
from . import place
from .subjects import Pair, Subject

THE_OPERATORS = 0x4C49_4D49
"""The advisory lock on the operator's limits, which belong to no row."""


class Exists(Exception):
    """There is a limit of this kind on the same subject already."""

    def __init__(self, row: Budget | RateLimit):
        self.row = row


@dataclass(frozen=True)
class Terms:
    """What may be changed of a limit. `limit` in its unit, `alerts` in percent."""

    limit: int
    is_hard: bool
    alerts: tuple[int, ...]


@dataclass(frozen=True)
class Speeds:
    """None: as many as one likes."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    parallel: int | None


def create(subject: Subject, unit: Unit, window: Window, terms: Terms) -> Budget:
    """Raises Exists: a limit is only ever changed on purpose."""
    _one_at_a_time()
    if there := existing((subject.scope, subject.id), unit, window):
        raise Exists(there)
    budget = _set(subject.scope, subject.id, unit, window, terms)
    audit.record("limit.created", budget, **_told(budget))
    db.session.commit()
    return budget


def change(budget: Budget, terms: Terms) -> None:
    before = _told(budget)
    _set(budget.scope, budget.subject_id, budget.unit, budget.window, terms)
    if before != (after := _told(budget)):
        audit.record("limit.changed", budget, **after, before=before)
    db.session.commit()


def delete(budget: Budget) -> None:
    """Into the trash."""
    audit.record("limit.deleted", budget, **_told(budget))
    quota.delete_limit(db.session, budget, current_user.id)
    db.session.commit()


def existing(pair: Pair, unit: Unit, window: Window) -> Budget | None:
    mine = (Budget.scope == pair[0], Budget.subject_id == pair[1], Budget.organization_id == place.owner_id())
    of_its_kind = (Budget.unit == unit, Budget.window == window, Budget.deleted_at.is_(None))
    return db.session.scalars(select(Budget).where(*mine, *of_its_kind)).first()


def create_rate(subject: Subject, speeds: Speeds) -> RateLimit:
    """Raises Exists."""
    _one_at_a_time()
    if there := existing_rate((subject.scope, subject.id)):
        raise Exists(there)
    rate = _set_rate(subject.scope, subject.id, speeds)
    audit.record("rate.created", rate, **_told_rate(rate))
    db.session.commit()
    return rate


def change_rate(rate: RateLimit, speeds: Speeds) -> None:
    before = _told_rate(rate)
    _set_rate(rate.scope, rate.subject_id, speeds)
    if before != (after := _told_rate(rate)):
        audit.record("rate.changed", rate, **after, before=before)
    db.session.commit()


def delete_rate(rate: RateLimit) -> None:
    """Into the trash."""
    audit.record("rate.deleted", rate, **_told_rate(rate))
    quota.delete_rate(db.session, rate, current_user.id)
    db.session.commit()


def existing_rate(pair: Pair) -> RateLimit | None:
    mine = (RateLimit.scope == pair[0], RateLimit.subject_id == pair[1])
    of_here = (RateLimit.organization_id == place.owner_id(), RateLimit.deleted_at.is_(None))
    return db.session.scalars(select(RateLimit).where(*mine, *of_here)).first()


def _set(scope: Scope, subject_id: uuid.UUID, unit: Unit, window: Window, terms: Terms) -> Budget:
    return quota.set_limit(
        db.session,
        place.owner_id(),
        scope,
        subject_id,
        window,
        terms.limit,
        unit,
        terms.is_hard,
        list(terms.alerts),
        current_user.id,
    )


def _set_rate(scope: Scope, subject_id: uuid.UUID, speeds: Speeds) -> RateLimit:
    by = current_user.id
    rate = quota.set_rate(db.session, place.owner_id(), scope, subject_id, **vars(speeds), created_by=by)
    if rate is None:
        raise LookupError("a limit of nothing is none: the form asks for a number")
    return rate


def _one_at_a_time() -> None:
    """From here to the commit: two that make the same limit at once would each think it is new."""
    owner = place.owner_id()
    if owner is None:
        db.session.execute(select(func.pg_advisory_xact_lock(THE_OPERATORS)))
        return
    mine = select(Organization.id).where(Organization.id == owner)
    db.session.execute(mine.with_for_update(key_share=True))


def _told(budget: Budget) -> dict[str, Any]:
    return {
        "scope": budget.scope.value,
        "subject_id": str(budget.subject_id),
        "unit": budget.unit.value,
        "window": budget.window.value,
        "limit": budget.limit,
        "is_hard": budget.is_hard,
        "alerts": list(budget.alerts),
    }


def _told_rate(rate: RateLimit) -> dict[str, Any]:
    on = {"scope": rate.scope.value, "subject_id": str(rate.subject_id)}
    return on | {name: getattr(rate, name) for name in ("requests_per_minute", "tokens_per_minute", "parallel")}
