"""A file's conversations, kept until somebody decides which of them become sessions."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from flask import abort, g
from flask_login import current_user
from sqlalchemy import delete, func, or_, select

from .. import audit
from ..extensions import db
from ..models import Import, ImportedSession, Project, PromptSession, new_id, now
from .reading import Found

SHOWN = 300
"""Conversations that the preview lists, each to be chosen or not; further ones all come along."""


def stage(project: Project, file_name: str, found: Found) -> Import:
    """Commits."""
    made = Import(
        id=new_id(), project_id=project.id, user_id=current_user.id, source=found.source, file_name=file_name[:200]
    )
    db.session.add(made)
    db.session.flush()
    for position, one in enumerate(found.conversations):
        db.session.add(
            ImportedSession(
                import_id=made.id,
                position=position,
                source_id=one.source_id,
                title=one.title[:200],
                runs_count=one.runs_count,
                began_at=datetime.fromisoformat(one.at) if one.at else None,
                content=one.to_json(),
            )
        )
    db.session.commit()
    return made


def own(project: Project, id: uuid.UUID) -> Import:
    """What one brought oneself into this project; 404 for what is not here, 403 for what another one brought."""
    found = db.session.scalars(select(Import).where(Import.id == id, Import.project_id == project.id)).first()
    if found is None:
        abort(404)
    if found.user_id != current_user.id:
        abort(403)
    return found


def lines(brought: Import) -> Sequence[ImportedSession]:
    rows = select(ImportedSession).where(ImportedSession.import_id == brought.id).order_by(ImportedSession.position)
    return db.session.scalars(rows.limit(SHOWN)).all()


def counts(brought: Import) -> tuple[int, int, int]:
    """(conversations, of these done, runs of all)"""
    done = func.count().filter(ImportedSession.content.is_(None))
    query = select(func.count(), done, func.coalesce(func.sum(ImportedSession.runs_count), 0))
    row = db.session.execute(query.where(ImportedSession.import_id == brought.id)).one()
    return row[0], row[1], int(row[2])


def already_here(brought: Import) -> set[str]:
    """Source ids of what came into this project before, and is still there."""
    query = (
        select(ImportedSession.source_id)
        .join(Import, ImportedSession.import_id == Import.id)
        .join(PromptSession, ImportedSession.session_id == PromptSession.id)
        .where(
            Import.project_id == brought.project_id,
            Import.source == brought.source,
            Import.id != brought.id,
            PromptSession.deleted_at.is_(None),
        )
    )
    return set(db.session.scalars(query))


def choose(brought: Import, positions: set[int]) -> None:
    """Of the listed ones only these; of the others all that are not here yet. Commits."""
    mine, listed = ImportedSession.import_id == brought.id, lines(brought)
    unchosen = ImportedSession.position.in_([line.position for line in listed if line.position not in positions])
    last = listed[-1].position if listed else -1
    known = (ImportedSession.position > last) & ImportedSession.source_id.in_(already_here(brought))
    db.session.execute(delete(ImportedSession).where(mine, or_(unchosen, known)))
    brought.confirmed_at = now()
    chosen, _, runs = counts(brought)
    audit.record("import.confirmed", brought, g.organization.id, source=brought.source, sessions=chosen, runs=runs)
    db.session.commit()
