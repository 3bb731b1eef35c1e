"""Keeping sessions in order: stars, tags, the archive, and another project."""

from __future__ import annotations

import uuid
from typing import Any

from flask import g
from flask_login import current_user
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from .. import access, audit
from ..extensions import db
from ..models import (
    Asset,
    Collaborator,
    CopiedAnswer,
    Execution,
    Project,
    ProjectRole,
    Prompt,
    PromptSession,
    SearchDocument,
    Star,
    new_id,
    now,
)
from ..projects.session_list import tags_of

LONGEST_TAG = 40
MOST_TAGS = 12


class Refused(ValueError):
    """The message is fit to show."""


def is_starred(session: PromptSession, user_id: uuid.UUID) -> bool:
    mine = select(Star.id).where(Star.session_id == session.id, Star.user_id == user_id)
    return db.session.scalar(mine) is not None


def star(session: PromptSession, user_id: uuid.UUID, is_on: bool) -> None:
    """Commits."""
    row: Any = {"id": new_id(), "created_at": now(), "session_id": session.id, "user_id": user_id}
    if is_on:
        db.session.execute(insert(Star).values(**row).on_conflict_do_nothing())
    else:
        db.session.execute(delete(Star).where(Star.session_id == session.id, Star.user_id == user_id))
    db.session.commit()


def rename(session: PromptSession, title: str) -> None:
    """Commits."""
    if session.title != title:
        before, session.title = session.title, title
        audit.record("session.renamed", session, g.organization.id, before=before, after=title)
    db.session.commit()


def archive(session: PromptSession, is_on: bool) -> None:
    """Commits."""
    session.archived_at = now() if is_on else None
    audit.record("session.archived" if is_on else "session.unarchived", session, g.organization.id)
    db.session.commit()


def tag(session: PromptSession, words: str) -> None:
    """Several with commas between, each in the spelling that the project knows it by, where it does. All or none.
    Raises Refused. Commits."""
    known = {one.casefold(): one for one in tags_of(session.project)}
    written = [known.setdefault(name.casefold(), name) for name in _tags_in(words)]
    new = [name for name in dict.fromkeys(written) if name not in session.tags]
    if not new:
        return
    if len(session.tags) + len(new) > MOST_TAGS:
        many = f", and these would be {len(session.tags) + len(new)}" if len(new) > 1 else ""
        raise Refused(f"A session has at most {MOST_TAGS} tags{many}. Remove one first.")
    session.tags = [*session.tags, *new]
    for name in new:
        audit.record("session.tagged", session, g.organization.id, tag=name)
    db.session.commit()


def _tags_in(words: str) -> list[str]:
    """Raises Refused."""
    names = [name for part in words.split(",") if (name := " ".join(part.replace("#", " ").split()))]
    if not names:
        raise Refused("Write the tag first.")
    if long := next((name for name in names if len(name) > LONGEST_TAG), None):
        which = f"“{long[:20]}…” is longer: a" if len(names) > 1 else "A"
        raise Refused(f"{which} tag has at most {LONGEST_TAG} letters.")
    return names


def untag(session: PromptSession, name: str) -> None:
    """Commits."""
    if name in session.tags:
        session.tags = [one for one in session.tags if one != name]
        audit.record("session.untagged", session, g.organization.id, tag=name)
    db.session.commit()


def projects_to_move_to(session: PromptSession) -> list[Project]:
    """Every other project that the signed-in person may edit."""
    query = access.scoped(Project).where(Project.id != session.project_id).order_by(func.lower(Project.name))
    if g.role is None:
        edits = select(Collaborator.project_id).where(
            Collaborator.user_id == current_user.id, Collaborator.role == ProjectRole.EDITOR
        )
        query = query.where(Project.id.in_(edits))
    return list(db.session.scalars(query.limit(500)))


def move(session: PromptSession, project: Project) -> None:
    """With its runs and files; what the runs cost stays in the books and limits of where it was paid. Commits."""
    if project.id == session.project_id:
        return
    audit.record("session.moved", session, g.organization.id, source=str(session.project_id), target=str(project.id))
    session.project = project
    db.session.flush()
    runs = select(Execution.id).where(Execution.session_id == session.id)
    prompts = select(Prompt.id).where(Prompt.session_id == session.id)
    copies = select(CopiedAnswer.id).where(CopiedAnswer.session_id == session.id)
    held = or_(Asset.execution_id.in_(runs), Asset.prompt_id.in_(prompts), Asset.copied_answer_id.in_(copies))
    quietly = {"synchronize_session": False}
    db.session.execute(update(Asset).where(held).values(project_id=project.id), execution_options=quietly)
    found = select(func.search_index(SearchDocument.id)).where(SearchDocument.session_id == session.id)
    db.session.execute(select(func.count()).select_from(found.subquery()))
    db.session.commit()
