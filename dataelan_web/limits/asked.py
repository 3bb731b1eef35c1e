"""Requests for more as pages show them: who asked for how much of what, and the form that answers an open one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from flask_login import current_user
from sqlalchemy import select

from ..extensions import db
from ..models import Answer, Increase, Organization
from . import amounts, place, words
from .calendars import Calendar, calendars
from .forms import GrantForm
from .subjects import Subject, names_of


@dataclass(frozen=True)
class Asked:
    increase: Increase
    subject: Subject
    form: GrantForm | None
    """What whoever may answer fills in to grant it; None: it is over, or not theirs to answer."""
    is_mine: bool
    calendar: Calendar
    home: str = ""
    """The organization that it comes from, where there are several."""

    @property
    def is_open(self) -> bool:
        return self.increase.answer is Answer.ASKED

    @property
    def is_hidden(self) -> bool:
        """Is its limit not for these eyes?"""
        return place.is_hidden(self.increase.of)

    @property
    def size(self) -> str:
        """Of its limit, in words."""
        return words.size_of(self.increase.of, self.increase.counted_in)

    @property
    def url(self) -> str:
        """Where its limit is seen."""
        return place.home_of(self.increase.of)


def shown(found: Sequence[Increase], form: GrantForm | None = None) -> list[Asked]:
    """`form`: of the first, as it was sent."""
    names = names_of((one.of.scope, one.of.subject_id) for one in found)
    days = calendars({one.of.id: one.of for one in found}.values())
    homes = _homes(found) if place.is_operators() else {}
    return [
        Asked(
            one,
            names[one.of.scope, one.of.subject_id],
            form if form and one is found[0] else _form(one, days[one.of.id]),
            one.asked_by == current_user.id,
            days[one.of.id],
            homes.get(one.organization_id, ""),
        )
        for one in found
    ]


def _form(one: Increase, days: Calendar) -> GrantForm | None:
    """What grants it as it was asked, until the end of its window."""
    if one.answer is not Answer.ASKED or not place.may_administer(one.of):
        return None
    typed = amounts.typed(one.counted_in, one.asked)
    return GrantForm(one.counted_in, days.zone, formdata=None, amount=typed, until=days.usual_last_day)


def _homes(found: Sequence[Increase]) -> dict[uuid.UUID, str]:
    wanted = {one.organization_id for one in found}
    rows = db.session.execute(select(Organization.id, Organization.name).where(Organization.id.in_(wanted)))
    return {row[0]: row[1] for row in rows}
