"""What can be done with an answer: structured actions found in it (router/actions.py)."""

from __future__ import annotations

import uuid

from sqlalchemy import UniqueConstraint, func, update
from sqlalchemy.orm import Mapped

from .base import Base, DbSession, Json, Name, parent


class Action(Base):
    """A structured action found in an answer."""

    __tablename__ = "actions"
    __table_args__ = (UniqueConstraint("execution_id", "position"),)

    execution_id: Mapped[uuid.UUID] = parent("executions.id", index=False)
    position: Mapped[int]
    kind: Mapped[Name]
    title: Mapped[Name]
    payload: Mapped[Json]


def tick(session: DbSession, execution_id: uuid.UUID, position: int, item: int, *, done: bool) -> bool:
    """Mark one item of a checklist that was found in an answer. False: there is none."""
    ticked = session.scalar(
        update(Action)
        .where(
            Action.execution_id == execution_id,
            Action.position == position,
            Action.kind == "checklist",
            func.jsonb_array_length(Action.payload["items"]) > item,
        )
        .values(payload=func.jsonb_set(Action.payload, f"{{items,{item},done}}", func.to_jsonb(done)))
        .returning(Action.id)
        .execution_options(synchronize_session=False)
    )
    return ticked is not None
