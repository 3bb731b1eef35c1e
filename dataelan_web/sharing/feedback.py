"""Thumbs: each person's own, changeable, and seen by everybody who sees the run."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from flask_login import current_user
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from ..extensions import db
from ..models import Execution, Feedback, new_id, now

LONGEST_NOTE = 1000


@dataclass
class Tally:
    """Of one run, as the signed-in person sees it."""

    up: list[str] = field(default_factory=list)
    """Names."""
    down: list[str] = field(default_factory=list)
    mine: Feedback | None = None
    notes: list[Feedback] = field(default_factory=list)


def tally(run: Execution) -> Tally:
    found = Tally()
    for one in run.feedback:
        (found.up if one.is_good else found.down).append(one.user.name)
        if one.note:
            found.notes.append(one)
        if one.user_id == current_user.id:
            found.mine = one
    return found


def rate(run: Execution, user_id: uuid.UUID, *, is_good: bool, note: str | None) -> None:
    """`note`: None leaves it as it is. Commits."""
    row: dict[str, Any] = {"execution_id": run.id, "user_id": user_id, "is_good": is_good, "updated_at": now()}
    changed = {"is_good": is_good, "updated_at": row["updated_at"], **({"note": note} if note is not None else {})}
    db.session.execute(
        insert(Feedback)
        .values(id=new_id(), created_at=now(), note=note or "", **row)
        .on_conflict_do_update(index_elements=["execution_id", "user_id"], set_=changed)
    )
    db.session.commit()


def withdraw(run: Execution, user_id: uuid.UUID) -> None:
    """Commits."""
    db.session.execute(delete(Feedback).where(Feedback.execution_id == run.id, Feedback.user_id == user_id))
    db.session.commit()
