"""Versions: found by number, and published, each once and for ever."""

from __future__ import annotations

import uuid

from flask import abort, g
from sqlalchemy import select

from .. import audit
from ..extensions import db
from ..models import Template, TemplateVersion, new_id
from ..models.templates import next_number
from .content import Content
from .refusals import Overtaken, Refused


def newest(template: Template) -> TemplateVersion | None:
    return _find(template, template.newest) if template.newest else None


def numbered(template: Template, number: int) -> TemplateVersion:
    """404 for one that there is not."""
    return _find(template, number) or abort(404)


def publish(
    template: Template, content: Content, message: str, seen: int, author_id: uuid.UUID | None
) -> TemplateVersion:
    """`seen`: the number of the newest version when it was looked at. Raises Refused, or Overtaken. Flushes."""
    if problem := next(iter(content.problems.values()), ""):
        raise Refused(f"It cannot be published like this: {problem}")
    if not message.strip():
        raise Refused("Say what changed, in a few words.")
    if seen == template.newest and (last := newest(template)) and last.digest == content.digest:
        raise Refused(f"Nothing changed: it is the same as version {last.number}.")
    number = next_number(db.session, template.id, seen)
    if number is None:
        raise Overtaken("Somebody else published a version while you looked at this one. Look at what differs now.")
    version = TemplateVersion(id=new_id(), template_id=template.id, number=number, author_id=author_id)
    version.content, version.digest = content.settled.to_json(), content.digest
    version.message = message.strip()
    db.session.add(version)
    db.session.flush()
    db.session.refresh(template, ["newest", "updated_at"])
    audit.record("prompt.published", template, g.organization.id, version=number)
    return version


def _find(template: Template, number: int) -> TemplateVersion | None:
    query = select(TemplateVersion).where(TemplateVersion.template_id == template.id, TemplateVersion.number == number)
    return db.session.scalars(query).first()
