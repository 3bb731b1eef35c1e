"""Saved cases: values to try every version with."""

from __future__ import annotations

from collections.abc import Mapping

from flask import g
from flask_login import current_user
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from .. import audit
from ..extensions import db
from ..models import Template, TemplateCase, new_id
from .refusals import Refused

MOST = 100


def of(template: Template) -> list[TemplateCase]:
    """In the order they were added."""
    query = select(TemplateCase).filter_by(template_id=template.id, deleted_at=None)
    return list(db.session.scalars(query.order_by(TemplateCase.id)))


def add(template: Template, name: str, values: Mapping[str, str], said: str, expected: str) -> TemplateCase:
    """Raises Refused. Commits."""
    count = db.session.scalar(select(func.count(TemplateCase.id)).filter_by(template_id=template.id, deleted_at=None))
    if (count or 0) >= MOST:
        raise Refused(f"A prompt has {MOST} cases at most.")
    case = TemplateCase(id=new_id(), template_id=template.id, created_by=current_user.id)
    _fill(template, case, name, values, said, expected)
    audit.record("case.added", case, g.organization.id, prompt=template.name)
    db.session.commit()
    return case


def change(
    template: Template, case: TemplateCase, name: str, values: Mapping[str, str], said: str, expected: str
) -> None:
    """Answers to its old values are no answers to it any more. Raises Refused. Commits."""
    _fill(template, case, name, values, said, expected)
    audit.record("case.changed", case, g.organization.id, prompt=template.name)
    db.session.commit()


def delete(template: Template, case: TemplateCase) -> None:
    """Into the trash. Its runs stay. Commits."""
    case.discard(current_user.id)
    audit.record("case.deleted", case, g.organization.id, prompt=template.name)
    db.session.commit()


def _fill(
    template: Template, case: TemplateCase, name: str, values: Mapping[str, str], said: str, expected: str
) -> None:
    if not name.strip():
        raise Refused("Give the case a name.")
    case.name, case.values, case.said, case.expected = name.strip()[:200], dict(values), said, expected.strip()
    db.session.add(case)
    try:
        db.session.flush()
    except IntegrityError:
        db.session.rollback()
        raise Refused(f"There is a case named “{name.strip()}” already.") from None
