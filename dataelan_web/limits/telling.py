"""Word to people about requests for more: to who may answer one, and to who asked."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from flask import url_for
from sqlalchemy import select

from .. import notify
from ..extensions import db
from ..models import Answer, Increase, Membership, Organization, Role
from ..notify import audience
from ..second_net import lifted
from . import place, words
from .subjects import Subject

UNNAMED = "a limit of whoever runs this Dataelan"
"""What people of an organization are told of a limit that counts others too."""


def asked(increase: Increase, subject: Subject) -> None:
    """To every owner and admin but the asker; of a limit of the operator's to the superusers, and of people to nobody
    else. The organization's own webhooks are told of both."""
    home = db.session.get_one(Organization, increase.organization_id)
    is_operators = increase.of.organization_id is None
    key, kind = f"increase:{increase.id}:asked", "increase.asked"
    title, path = _asks(increase, _named(increase, subject)), _path(increase, home)
    answering = [] if is_operators else _administrators(increase)
    notify.tell(db.session, home.id, answering, key, kind, title, increase.reason, path)
    if is_operators:
        _superusers(increase, f"{_asks(increase, subject.title)} ({home.name})", key, kind)


def answered(increase: Increase, subject: Subject) -> None:
    """To the asker."""
    home = db.session.get_one(Organization, increase.organization_id)
    unit, name = increase.counted_in, _named(increase, subject)
    done = f"{words.stated(increase.granted, unit)} more" if increase.answer is Answer.APPROVED else "No more"
    people = [increase.asked_by] if increase.asked_by and increase.asked_by != increase.answered_by else []
    key, kind = f"increase:{increase.id}:answered", "increase.answered"
    title, path = f"{done} for {name}", _path(increase, home)
    notify.tell(db.session, home.id, people, key, kind, title, increase.answer_note, path)


def _asks(increase: Increase, subject: str) -> str:
    who = increase.asker.name if increase.asker else "Somebody"
    return f"{who} asks for {words.stated(increase.asked, increase.counted_in)} more: {subject}"


def _administrators(increase: Increase) -> Sequence[uuid.UUID]:
    return db.session.scalars(
        select(Membership.user_id).where(
            Membership.organization_id == increase.organization_id,
            Membership.role.in_((Role.OWNER, Role.ADMIN)),
            Membership.user_id != increase.asked_by,
        )
    ).all()


def _superusers(increase: Increase, title: str, key: str, kind: str) -> None:
    """Each in an organization of their own, whose programs it is no business of."""
    path = url_for("admin_limits.limit" if increase.budget else "admin_limits.rate", id=increase.of.id)
    rest: dict[str, Any] = {"body": increase.reason, "path": path, "to_programs": False}
    with lifted():  # they are in other organizations than the asker
        for group in audience.superusers(db.session):
            people = group.user_ids - {increase.asked_by}
            notify.tell(db.session, group.organization.id, people, key, kind, title, **rest)


def _named(increase: Increase, subject: Subject) -> str:
    return UNNAMED if place.is_for_all(increase.of) else subject.title


def _path(increase: Increase, home: Organization) -> str:
    if increase.rate or place.is_for_all(increase.of):
        return url_for("limits.overview", slug=home.slug)
    return url_for("limits.limit", slug=home.slug, id=increase.budget_id)
