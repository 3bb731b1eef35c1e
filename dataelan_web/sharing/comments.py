"""Comments under a run. Editors write them; whoever wrote one changes it, and an admin may remove any."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from flask import abort, g
from flask_login import current_user
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from .. import access, audit
from ..extensions import db
from ..models import Comment, Execution, new_id, now

LONGEST = 4000


class Refused(ValueError):
    """The message is fit to show."""


def of(run: Execution) -> Sequence[Comment]:
    """Oldest first."""
    query = select(Comment).where(Comment.execution_id == run.id, Comment.deleted_at.is_(None))
    return db.session.scalars(query.options(joinedload(Comment.author)).order_by(Comment.id)).all()


def one_of(run: Execution, id: uuid.UUID) -> Comment:
    """404 for what is no comment of this run; who may take it out of the trash is told so."""
    return _of_this(run, access.visible(Comment, id))


def deleted_or_not(run: Execution, id: uuid.UUID) -> Comment:
    """404 for what is no comment of this run."""
    return _of_this(run, db.session.get(Comment, id))


def _of_this(run: Execution, comment: Comment | None) -> Comment:
    return comment if comment is not None and comment.execution_id == run.id else abort(404)


def write(run: Execution, text: str) -> Comment:
    """Raises Refused. Commits."""
    made = Comment(id=new_id(), execution_id=run.id, author_id=current_user.id, text=_checked(text))
    db.session.add(made)
    _noted("created", made)
    return made


def change(comment: Comment, text: str) -> None:
    """403 for everybody but its author. Raises Refused. Commits."""
    if comment.author_id != current_user.id:
        abort(403)
    text = _checked(text)
    if text != comment.text:
        comment.text, comment.edited_at = text, now()
        _noted("changed", comment)


def remove(comment: Comment) -> None:
    """403 for who may not. Commits."""
    _require_removable(comment)
    comment.discard(current_user.id)
    _noted("deleted", comment)


def restore(comment: Comment) -> None:
    """403 for who may not. Commits."""
    _require_removable(comment)
    if comment.deleted_at:
        comment.restore()
        _noted("restored", comment)


def _require_removable(comment: Comment) -> None:
    if comment.author_id != current_user.id:
        access.require(access.ADMINISTER)


def _noted(done: str, comment: Comment) -> None:
    audit.record(f"comment.{done}", comment, g.organization.id, execution=str(comment.execution_id))
    db.session.commit()


def _checked(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise Refused("Write the comment first.")
    if len(text) > LONGEST:
        raise Refused(f"A comment has at most {LONGEST:,} letters; this one has {len(text):,}.")
    return text
