"""Word to people about requests for more: to who may answer one, and to who asked."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from flask import g, url_for
from sqlalchemy import select

from .. import notify
from ..extensions import db
from ..models import Answer, Increase, Membership, Role
from . import words
from .subjects import Subject


def asked(increase: Increase, subject: Subject) -> None:
    """To every owner and admin but the asker."""
    answering = select(Membership.user_id).where(
        Membership.organization_id == g.organization.id,
        Membership.role.in_((Role.OWNER, Role.ADMIN)),
        Membership.user_id != increase.asked_by,
    )
    more = words.amount(increase.asked, increase.budget.unit)
    who = increase.asker.name if increase.asker else "Somebody"
    title = f"{who} asks for {more} more: {subject.title}"
    _tell(
        db.session.scalars(answering).all(),
        f"increase:{increase.id}:asked",
        "increase.asked",
        title,
        increase,
        increase.reason,
    )


def answered(increase: Increase, subject: Subject) -> None:
    """To the asker."""
    unit = increase.budget.unit
    done = f"{words.amount(increase.granted, unit)} more" if increase.answer is Answer.APPROVED else "No more"
    title = f"{done} for {subject.title}"
    people = [increase.asked_by] if increase.asked_by and increase.asked_by != increase.answered_by else []
    _tell(people, f"increase:{increase.id}:answered", "increase.answered", title, increase, increase.answer_note)


def _tell(user_ids: Sequence[uuid.UUID], key: str, kind: str, title: str, increase: Increase, body: str) -> None:
    path = url_for("limits.limit", id=increase.budget_id)
    notify.tell(db.session, g.organization.id, user_ids, key, kind, title, body, path)
