"""Requests for more as pages show them: who asked for how much of what, and the form that answers an open one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from flask import g
from flask_login import current_user

from .. import access, quota
from ..extensions import db
from ..models import Answer, Increase
from . import amounts, increases
from .forms import GrantForm
from .subjects import Subject, names_of


@dataclass(frozen=True)
class Asked:
    increase: Increase
    subject: Subject
    form: GrantForm | None
    """What an owner or admin fills in to grant it; None: it is over, or not theirs to answer."""
    is_mine: bool

    @property
    def is_open(self) -> bool:
        return self.increase.answer is Answer.ASKED


def shown(found: Sequence[Increase], form: GrantForm | None = None) -> list[Asked]:
    """`form`: of the first, as it was sent."""
    names = names_of((one.budget.scope, one.budget.subject_id) for one in found)
    forms = _forms([one for one in found if one.answer is Answer.ASKED]) if access.may(access.ADMINISTER) else {}
    return [
        Asked(
            one,
            names[one.budget.scope, one.budget.subject_id],
            form if form and one is found[0] else forms.get(one.id),
            one.asked_by == current_user.id,
        )
        for one in found
    ]


def _forms(found: Sequence[Increase]) -> dict[uuid.UUID, GrantForm]:
    """What grants each as it was asked, until the end of its window."""
    budgets = {one.budget_id: one.budget for one in found}
    standings = {standing.budget.id: standing for standing in quota.standing(db.session, list(budgets.values()))}
    return {
        one.id: GrantForm(
            one.budget.unit,
            g.organization.time_zone,
            formdata=None,
            amount=amounts.typed(one.budget.unit, one.asked),
            until=increases.usual_last_day(standings[one.budget_id]),
        )
        for one in found
    }
