"""Labels: names that programs ask for. Each stands for one version; a protected one is moved by owners and admins."""

from __future__ import annotations

import re

from flask import abort, g
from flask_login import current_user
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import joinedload

from .. import access, audit
from ..extensions import db
from ..models import LabelMove, LabelProtection, Template, TemplateLabel, new_id, now
from .refusals import Overtaken, Refused

PRODUCTION, LATEST = "production", "latest"
USUAL = (PRODUCTION, "staging")
"""Offered where there are none yet."""
MOST = 20
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
_MOVES_SHOWN = 100


def of(template: Template) -> dict[str, int]:
    """{label: the number of its version}, by name."""
    query = select(TemplateLabel.name, TemplateLabel.number).where(TemplateLabel.template_id == template.id)
    return dict(db.session.execute(query.order_by(TemplateLabel.name)).all())


def checked(name: str) -> str:
    """A label's name as it is kept. Raises Refused."""
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise Refused("A label begins with a letter and may hold a–z, 0–9, - and _, 40 characters at most.")
    if name == LATEST:
        raise Refused(f"“{LATEST}” always stands for the newest version: choose another name.")
    return name


def protected(template: Template) -> dict[str, bool]:
    """What this project says of its labels, by name."""
    query = select(LabelProtection.name, LabelProtection.is_protected)
    rows = db.session.execute(query.where(LabelProtection.project_id == template.project_id)).all()
    return {PRODUCTION: True} | dict(rows)


def right_to_move(template: Template, name: str) -> int:
    return access.ADMINISTER if name and protected(template).get(name) else access.EDIT


def may_move(template: Template, name: str) -> bool:
    return access.may(right_to_move(template, name), template)


def move(template: Template, name: str, after: int, seen: int | None, proposal: int | None = None) -> None:
    """Let a label stand for this version. `seen`: what it stood for when it was looked at; None: it was not there.

    403 for those who may not. Raises Refused, or Overtaken. Flushes."""
    access.require(right_to_move(template, name), template)
    before = _locked(template, name)
    if before != seen:
        raise Overtaken(f"Somebody else has moved “{name}” meanwhile. Look at what it stands for now.")
    if before == after:
        raise Refused(f"“{name}” stands for version {after} already.")
    if before is None and len(of(template)) >= MOST:
        raise Refused(f"A prompt has {MOST} labels at most.")
    row = {"id": new_id(), "template_id": template.id, "name": name, "created_at": now()}
    put = insert(TemplateLabel).values(**row, number=after, updated_at=now())
    put = put.on_conflict_do_update(index_elements=["template_id", "name"], set_={"number": after, "updated_at": now()})
    db.session.execute(put)
    _note(template, name, before, after, proposal)


def remove(template: Template, name: str) -> None:
    """403 for those who may not; 404 for one that there is not. Commits."""
    access.require(right_to_move(template, name), template)
    before = _locked(template, name)
    if before is None:
        abort(404)
    which = (TemplateLabel.template_id == template.id, TemplateLabel.name == name)
    db.session.execute(delete(TemplateLabel).where(*which))
    _note(template, name, before, None, None)
    db.session.commit()


def put_back(template: Template, name: str) -> int:
    """What was taken away last stands for its version again, which is returned.

    403 for those who may not; 404 for one that was not taken away. Raises Overtaken. Commits."""
    access.require(right_to_move(template, name), template)
    last = next(iter(history(template, name)), None)
    if last is None or last.after is not None or last.before is None:
        abort(404)
    move(template, name, last.before, None)
    db.session.commit()
    return last.before


def protect(template: Template, name: str, is_protected: bool) -> None:
    """For all prompts of the project. Commits."""
    row = {"id": new_id(), "project_id": template.project_id, "name": name, "created_at": now()}
    put = insert(LabelProtection).values(**row, is_protected=is_protected)
    db.session.execute(
        put.on_conflict_do_update(index_elements=["project_id", "name"], set_={"is_protected": is_protected})
    )
    audit.record("label.protected" if is_protected else "label.unprotected", template, g.organization.id, label=name)
    db.session.commit()


def history(template: Template, name: str) -> list[LabelMove]:
    """Its moves, the latest first."""
    query = select(LabelMove).where(LabelMove.template_id == template.id, LabelMove.name == name)
    query = query.order_by(LabelMove.id.desc()).limit(_MOVES_SHOWN).options(joinedload(LabelMove.user))
    return list(db.session.scalars(query))


def _locked(template: Template, name: str) -> int | None:
    """What it stands for, while nobody else can move any label of this template."""
    db.session.execute(select(Template.id).where(Template.id == template.id).with_for_update())
    query = select(TemplateLabel.number).where(TemplateLabel.template_id == template.id, TemplateLabel.name == name)
    number: int | None = db.session.scalar(query)
    return number


def _note(template: Template, name: str, before: int | None, after: int | None, proposal: int | None) -> None:
    move = LabelMove(template_id=template.id, name=name, before=before, after=after, proposal=proposal)
    move.user_id = current_user.id
    db.session.add(move)
    audit.record("label.moved", template, g.organization.id, label=name, before=before, after=after)
