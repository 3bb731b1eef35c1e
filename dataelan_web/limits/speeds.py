"""Limits on how fast as pages show them: what they allow, what more was granted for a while, and what may be done."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select

from .. import quota
from ..extensions import db
from ..models import Answer, Increase, Measure, Pace, RateLimit
from . import place
from .calendars import Calendar, calendars
from .increases import may_ask
from .subjects import Pair, Subject, names_of


@dataclass(frozen=True)
class Speed:
    rate: RateLimit
    subject: Subject
    calendar: Calendar
    granted: Sequence[Increase]
    """What more is in force, in the order in which it ends."""
    may_change: bool
    may_ask: bool

    def most(self, pace: Measure) -> int | None:
        """With what was granted; None: as much as one likes."""
        bare = self.rate.most(Pace(pace))
        return bare if bare is None else bare + sum(one.granted or 0 for one in self.more(pace))

    def more(self, pace: Measure) -> list[Increase]:
        return [one for one in self.granted if one.pace == pace]

    @property
    def as_counted(self) -> quota.Rate:
        """As calls are held to it now."""
        rate = self.rate
        return quota.Rate(rate.id, rate.organization_id, rate.scope, *(self.most(pace) for pace in Pace))


def speeds(rates: Sequence[RateLimit], names: dict[Pair, Subject] | None = None) -> list[Speed]:
    """Of rates that the signed-in person may see."""
    names = names if names is not None else names_of((rate.scope, rate.subject_id) for rate in rates)
    found, granted = calendars(rates), _in_force(rate.id for rate in rates)
    return [
        Speed(
            rate,
            names[rate.scope, rate.subject_id],
            found[rate.id],
            granted.get(rate.id, ()),
            place.may_administer(rate),
            not place.is_operators() and may_ask(rate),
        )
        for rate in rates
    ]


def _in_force(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[Increase]]:
    wanted, found = list(ids), dict[uuid.UUID, list[Increase]]()
    if not wanted:
        return found
    lasts = or_(Increase.expires_at.is_(None), Increase.expires_at > func.now())
    query = select(Increase).where(Increase.rate_id.in_(wanted), Increase.answer == Answer.APPROVED, lasts)
    for one in db.session.scalars(query.order_by(Increase.expires_at, Increase.id)):
        found.setdefault(one.rate_id or one.id, []).append(one)
    return found
