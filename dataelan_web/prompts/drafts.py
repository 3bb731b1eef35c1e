"""What a person is writing: kept as they type, seen by nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask_login import current_user
from sqlalchemy import case, func, select, update
from sqlalchemy.dialects.postgresql import insert

from ..extensions import db
from ..models import Template, TemplateDraft, TemplateVersion, new_id, now
from . import versions
from .content import Content
from .refusals import Refused


@dataclass(frozen=True)
class Draft:
    """What the editor holds: a person's own draft, or the newest version when there is none."""

    content: Content
    newest: TemplateVersion | None
    values: Mapping[str, str]
    said: str
    base: int
    """The version that was newest when it was begun."""
    kept_at: datetime | None = None

    @property
    def differs(self) -> bool:
        """From what is published."""
        return self.newest is None or self.content.digest != self.newest.digest

    @property
    def is_overtaken(self) -> bool:
        """Was another version published since it was begun?"""
        return self.newest is not None and self.base < self.newest.number and self.differs


def mine(template: Template) -> Draft:
    newest = versions.newest(template)
    row = db.session.scalars(
        select(TemplateDraft).filter_by(template_id=template.id, user_id=current_user.id, dropped_at=None)
    ).first()
    if row is None:
        content = Content.of(newest.content) if newest else Content()
        return Draft(content, newest, {}, "", template.newest)
    return Draft(Content.of(row.content), newest, row.values, row.said, row.base, row.updated_at)


def unkept(template: Template, content: Content, values: Mapping[str, str], said: str) -> Draft:
    """As the editor holds it, without a place to come back to."""
    return Draft(content, versions.newest(template), values, said, template.newest)


def keep(template: Template, content: Content, values: Mapping[str, str], said: str) -> Draft:
    """One for each person and template; it remembers what it was based on. Raises Refused for what is too large.

    The draft as it was given: another of this person's windows may have kept something else by now."""
    if content.too_much:
        raise Refused(content.too_much)
    newest, at = versions.newest(template), now()
    written = {"content": content.to_json(), "values": dict(values), "said": said, "updated_at": at, "dropped_at": None}
    row = {"id": new_id(), "template_id": template.id, "user_id": current_user.id, "created_at": at}
    statement = insert(TemplateDraft).values(**row, **written, base=template.newest)
    is_anew = TemplateDraft.dropped_at.is_not(None)  # else it goes on from where it began
    base: Any = case((is_anew, statement.excluded.base), else_=TemplateDraft.base)
    if newest and newest.digest == content.digest:
        base = newest.number  # nothing of one's own in it: it begins here
    set_ = written | {"base": base}
    kept = statement.on_conflict_do_update(index_elements=["template_id", "user_id"], set_=set_)
    began_at = db.session.scalar(kept.returning(TemplateDraft.base))
    return Draft(content, newest, values, said, began_at or 0, at)


def settle(template: Template, content: Content) -> None:
    """One's draft is what was published now; the values to try it with stay."""
    draft = mine(template)
    keep(template, content, draft.values, draft.said)


def drop(template: Template) -> None:
    """It can be taken back, until another is kept."""
    mine = update(TemplateDraft).filter_by(template_id=template.id, user_id=current_user.id, dropped_at=None)
    db.session.execute(mine.values(dropped_at=func.now()))


def take_back(template: Template) -> bool:
    """False: there is none, or another was begun since."""
    mine = update(TemplateDraft).filter_by(template_id=template.id, user_id=current_user.id)
    dropped = mine.where(TemplateDraft.dropped_at.is_not(None)).values(dropped_at=None)
    return bool(db.session.execute(dropped.returning(TemplateDraft.id)).all())
