"""People, for superusers: found, switched off and on, made superusers, signed out."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import abort
from sqlalchemy import ColumnElement, func, or_, select

from .. import audit
from ..accounts import factors, signing_in
from ..extensions import db
from ..models import Membership, Organization, Role, User, now

SIZE = 50
SORTS = {"": "Everybody", "superusers": "Superusers", "off": "Switched off"}


class NotYourself(ValueError):
    """The message is for the person."""


@dataclass(frozen=True)
class Person:
    user: User
    homes: Sequence[tuple[Organization, Role]]
    sign_ins: Sequence[Any]
    has_two_factor: bool


def found(q: str, only: str, page: int) -> tuple[Sequence[Any], bool]:
    """([(User, how many organizations)], is there more), the newest first."""
    homes = select(func.count()).where(Membership.user_id == User.id).scalar_subquery()
    query = select(User, homes.label("homes")).where(*_where(q, only)).order_by(User.created_at.desc(), User.id.desc())
    rows = db.session.execute(query.limit(SIZE + 1).offset((page - 1) * SIZE)).all()
    return rows[:SIZE], len(rows) > SIZE


def person(id: uuid.UUID) -> User:
    return db.session.get(User, id) or abort(404)


def all_of(user: User) -> Person:
    query = select(Organization, Membership.role).join(Membership).where(Membership.user_id == user.id)
    homes = [(row[0], row[1]) for row in db.session.execute(query.order_by(func.lower(Organization.name)).limit(200))]
    return Person(user, homes, signing_in.of(user), factors.any_of(user))


def set_disabled(user: User, is_disabled: bool, by: User) -> None:
    """At once: every page of theirs is closed, and their tokens are refused. Raises NotYourself. Commits."""
    if user.id == by.id:
        raise NotYourself("You cannot switch yourself off: somebody has to be able to switch you on again.")
    if user.is_superuser:
        _wait_in_line(user, by, "You are no superuser any more.")
    if (user.disabled_at is not None) != is_disabled:
        user.disabled_at = now() if is_disabled else None
        audit.record("account.switched_off" if is_disabled else "account.switched_on", user)
    db.session.commit()


def set_superuser(user: User, is_superuser: bool, by: User) -> None:
    """Raises NotYourself. Commits."""
    _wait_in_line(user, by, "Nobody takes this from themselves: another superuser has to.")
    if user.is_superuser != is_superuser:
        user.is_superuser = is_superuser
        audit.record("account.made_superuser" if is_superuser else "account.is_no_superuser", user)
    db.session.commit()


def _wait_in_line(user: User, by: User, problem: str) -> None:
    """Superusers change each other one after the other: of two who do it at once, one is left. Raises NotYourself."""
    all_super = select(User).where(User.is_superuser, User.disabled_at.is_(None)).order_by(User.id)
    query = all_super.with_for_update(key_share=True).execution_options(populate_existing=True)
    if user.id == by.id or by not in db.session.scalars(query).all():
        db.session.rollback()
        raise NotYourself(problem)


def end_sign_ins(user: User) -> None:
    """In every browser, at once. One's own goes on. Commits."""
    if user.id == signing_in.here().user_id:
        signing_in.end_others(user)
    else:
        user.end_sign_ins()
    audit.record("account.sign_ins_ended", user)
    db.session.commit()


def _where(q: str, only: str) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [User.purged_at.is_(None)]
    for word in q.split()[:5]:
        where.append(or_(User.name.icontains(word, autoescape=True), User.email.icontains(word, autoescape=True)))
    if only == "superusers":
        where.append(User.is_superuser.is_(True))
    elif only == "off":
        where.append(User.disabled_at.is_not(None))
    return where
