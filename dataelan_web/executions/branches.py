"""A session's conversation is a tree: each run continues another one, and runs that continue the same are alternatives.

A branch is named by any run of it. It leads from the beginning through that run on to the newest run that came of it.
Ids are made in the order of asking, so a run's is greater than that of the run it continues. What is in the trash
keeps its place in the tree, and so does what was purged: only what was said in it is gone.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select, and_, bindparam, or_, select, true
from sqlalchemy.orm import aliased

from ..extensions import db
from ..models import Comparison, ComparisonRun, Execution, PromptSession

ANOTHER = aliased(Execution)
"""A run beside the one in question. Named once: to name a table's columns anew costs as much as to ask for them."""


@dataclass(frozen=True)
class Alternatives:
    """Where a run stands among those that continue the same, itself included."""

    number: int
    count: int
    earlier: uuid.UUID | None
    later: uuid.UUID | None


@cache
def is_compared() -> ColumnElement[bool]:
    """Of an Execution: is it one of several answers that are held against each other?"""
    return select(ComparisonRun.id).where(ComparisonRun.id == Execution.id).exists()


@cache
def is_shown() -> ColumnElement[bool]:
    """Of an Execution: has it a card in its session? A repair of an action call has none; of a comparison's runs one
    stands for all, as long as any of them is not in the trash."""
    stands = (
        select(Comparison.id)
        .join(Comparison.runs)
        .join(ANOTHER, ANOTHER.id == ComparisonRun.id)
        .where(Comparison.shown_id == Execution.id, ANOTHER.deleted_at.is_(None))
        .correlate(Execution)
    )
    alone = and_(~is_compared(), Execution.repairs_id.is_(None), Execution.deleted_at.is_(None))
    return or_(alone, stands.exists())


def path(end: Any) -> Select[Any]:
    """The ids of a run and of all that it continues, one after the other."""
    line = select(Execution.id, Execution.continues_id).where(Execution.id == end).cte("line", recursive=True)
    # One at a time, from the index: joined, a small table is read whole for each of its runs.
    one = select(ANOTHER.id, ANOTHER.continues_id).where(ANOTHER.id == line.c.continues_id).limit(1).lateral("one")
    line = line.union_all(select(one.c.id, one.c.continues_id).select_from(line.join(one, true())))
    return select(line.c.id)


def newest(session: PromptSession, *that: Any) -> uuid.UUID | None:
    """The end of the branch that was gone on with last; `that`: further conditions on its last run."""
    query = _newest().where(*that) if that else _newest()
    return db.session.scalar(query, {"session": session.id})


@cache
def _newest() -> Select[uuid.UUID]:
    """Made once, as the next: to make it takes longer than to ask it."""
    there = Execution.session_id == bindparam("session"), is_shown()
    return select(Execution.id).where(*there).order_by(Execution.id.desc()).limit(1)


@cache
def _alike() -> Select[uuid.UUID, uuid.UUID | None, uuid.UUID | None]:
    """Runs of some sessions that continue one of some others, or where `begins`, nothing."""
    continued = Execution.continues_id.in_(bindparam("continued", expanding=True))
    begin = Execution.continues_id.is_(None) & bindparam("begins", type_=Boolean())
    here = Execution.session_id.in_(bindparam("sessions", expanding=True)), is_shown(), or_(continued, begin)
    return select(Execution.id, Execution.session_id, Execution.continues_id).where(*here).order_by(Execution.id)


def end_of(session: PromptSession, id: uuid.UUID) -> uuid.UUID | None:
    """The newest run that came of this one, or itself; None: it is none of this session's."""
    named = select(Execution.id).where(Execution.id == id, Execution.session_id == session.id)
    line = named.cte("line", recursive=True)
    after = select(ANOTHER.id).join(line, ANOTHER.continues_id == line.c.id).where(ANOTHER.session_id == session.id)
    line = line.union_all(after)
    found = select(Execution.id).where(Execution.id.in_(select(line.c.id)))
    return db.session.scalar(found.order_by(is_shown().desc(), Execution.id.desc()).limit(1))


def tell(runs: Sequence[Execution]) -> None:
    """Give each run of a conversation its `alternatives`: None where there is no other."""
    spoken = [run for run in runs if run.session_id and run.model_type in PromptSession.CONVERSATIONS]
    if not spoken:
        return
    before = {run.continues_id for run in spoken}
    asked = {"sessions": list({run.session_id for run in spoken}), "continued": list(before - {None})}
    rows = db.session.execute(_alike(), {**asked, "begins": None in before}).all()
    alike: dict[tuple[uuid.UUID | None, uuid.UUID | None], list[uuid.UUID]] = {}
    for id, session_id, continues_id in rows:
        alike.setdefault((session_id, continues_id), []).append(id)
    for run in spoken:
        run.alternatives = _among(run.id, alike.get((run.session_id, run.continues_id), []))  # type: ignore[attr-defined]


def _among(id: uuid.UUID, ids: list[uuid.UUID]) -> Alternatives | None:
    if len(ids) < 2 or id not in ids:
        return None
    at = ids.index(id)
    return Alternatives(at + 1, len(ids), ids[at - 1] if at else None, ids[at + 1] if at + 1 < len(ids) else None)
