"""A template itself: made, named, put into the trash and taken out of it."""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta

from flask import g
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from .. import audit
from ..extensions import db
from ..models import Project, Template, new_id, now
from ..models.templates import free_name
from . import drafts
from .content import Content
from .refusals import Refused

LONGEST_SLUG = 60
A_MOMENT = timedelta(minutes=2)
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]*", re.ASCII)


def create(project: Project, name: str, description: str, content: Content) -> Template:
    """With `content` as the draft of whoever makes it. Raises Refused. Commits."""
    template = Template(id=new_id(), project=project, created_by=current_user.id, description=description)
    _name(template, name, _free_slug(project, name))
    db.session.add(template)
    _flush(template)
    drafts.keep(template, content, {}, "")
    audit.record("prompt.created", template, g.organization.id)
    db.session.commit()
    return template


def change(template: Template, name: str, slug: str, description: str) -> None:
    """Raises Refused. Commits."""
    before = {"name": template.name, "slug": template.slug}
    if not _SLUG.fullmatch(slug) or len(slug) > LONGEST_SLUG:
        raise Refused(f"What programs call it may hold a–z, 0–9 and -, {LONGEST_SLUG} characters at most.")
    _name(template, name, slug)
    template.description = description
    _flush(template)
    audit.record("prompt.changed", template, g.organization.id, before=before)
    db.session.commit()


def delete(template: Template) -> None:
    """Into the trash. Commits."""
    template.discard(current_user.id)
    audit.record("prompt.deleted", template, g.organization.id)
    db.session.commit()


def just_deleted(project: Project) -> Template | None:
    """What the signed-in person put into the trash a moment ago, to be taken back."""
    query = select(Template).where(
        Template.project_id == project.id,
        Template.deleted_by == current_user.id,
        Template.deleted_at > now() - A_MOMENT,
    )
    return db.session.scalars(query.order_by(Template.deleted_at.desc()).limit(1)).first()


def restore(template: Template) -> None:
    """Out of the trash. Raises Refused. Commits."""
    template.restore()
    _flush(template)
    audit.record("prompt.restored", template, g.organization.id)
    db.session.commit()


def slug_of(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: LONGEST_SLUG - 4].strip("-") or "prompt"


def _name(template: Template, name: str, slug: str) -> None:
    template.name, template.slug, template.updated_at = name, slug, now()


def _flush(template: Template) -> None:
    """The database knows what is taken, also when two people are at it."""
    name, slug = template.name, template.slug
    try:
        db.session.flush()
    except IntegrityError as error:
        db.session.rollback()
        if "uq_templates_slug" in str(error.orig):
            raise Refused(f"Another prompt of this project is called “{slug}” by programs.") from None
        raise Refused(f"This project has a prompt named “{name}” already.") from None


def _free_slug(project: Project, name: str) -> str:
    """From its name; with a number where the name of another gave the same."""
    wanted = slug_of(name)
    taken = set(
        db.session.scalars(
            select(Template.slug).where(
                Template.project_id == project.id,
                Template.deleted_at.is_(None),
                Template.slug.startswith(wanted, autoescape=True),
            )
        )
    )
    return free_name(wanted, taken, "-{}")
