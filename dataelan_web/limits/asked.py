"""Requests for more as pages show them: who asked for how much of what, and the form that answers an open one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from flask_login import current_user
from sqlalchemy import select

from .. import quota
from ..extensions import db
from ..models import Answer, Increase, Organization
from ..quota import Standing
from . import amounts, increases, place
from .forms import GrantForm
from .subjects import Subject, names_of


@dataclass(frozen=True)
class Asked:
    increase: Increase
    subject: Subject
    form: GrantForm | None
    """What whoever may answer fills in to grant it; None: it is over, or not theirs to answer."""
    is_mine: bool
    zone: ZoneInfo
    """By whose calendar its limit goes."""
    home: str = ""
    """The organization that it comes from, where there are several."""

    @property
    def is_open(self) -> bool:
        return self.increase.answer is Answer.ASKED

    @property
    def is_hidden(self) -> bool:
        """Is its limit not for these eyes?"""
        return place.is_hidden(self.increase.budget)


def shown(found: Sequence[Increase], form: GrantForm | None = None) -> list[Asked]:
    """`form`: of the first, as it was sent."""
    names = names_of((one.budget.scope, one.budget.subject_id) for one in found)
    budgets = list({one.budget_id: one.budget for one in found}.values())
    standings = {standing.budget.id: standing for standing in quota.standing(db.session, budgets)}
    homes = _homes(found) if place.is_operators() else {}
    return [
        Asked(
            one,
            names[one.budget.scope, one.budget.subject_id],
            form if form and one is found[0] else _form(one, standings),
            one.asked_by == current_user.id,
            standings[one.budget_id].zone,
            homes.get(one.organization_id, ""),
        )
        for one in found
    ]


def _form(one: Increase, standings: Mapping[uuid.UUID, Standing]) -> GrantForm | None:
    """What grants it as it was asked, until the end of its window."""
    if one.answer is not Answer.ASKED or not place.may_administer(one.budget):
        return None
    standing = standings[one.budget_id]
    return GrantForm(
        one.budget.unit,
        standing.zone,
        formdata=None,
        amount=amounts.typed(one.budget.unit, one.asked),
        until=increases.usual_last_day(standing),
    )


def _homes(found: Sequence[Increase]) -> dict[uuid.UUID, str]:
    wanted = {one.organization_id for one in found}
    rows = db.session.execute(select(Organization.id, Organization.name).where(Organization.id.in_(wanted)))
    return {row[0]: row[1] for row in rows}
