"""Batches: a prompt asked with many rows of values, of one or several models, and how good the answers are.

A cell is one row at one model; each try of it is an ordinary Execution with the batch's id. What a cell keeps of its
last run (cost, seconds, score) is what lists and sums read; the answers themselves stay with the runs.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, ForeignKey, Index, UniqueConstraint, func, or_, select, text, update
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import User
from .base import (
    Base,
    DbSession,
    Json,
    JsonList,
    Long,
    Name,
    Nano,
    Time,
    Trashable,
    in_trash,
    parent,
    reference,
)
from .executions import Execution
from .templates import Template
from .workspace import Project

ENOUGH = 0.75
"""From this score on an answer passes: 4 and 5 of 5."""
TURN = timedelta(seconds=60)
"""How long a worker may take for one round of a batch before another one takes it over."""


class BatchState(StrEnum):
    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


class CellState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNFIT = "unfit"  # its row's values cannot be asked


class CheckKind(StrEnum):
    CONTAINS = "contains"
    REGEX = "regex"
    SCHEMA = "schema"
    EQUAL = "equal"
    JUDGE = "judge"


class Batch(Trashable, Base):
    """`content` is the prompt as it was when the batch was made (prompts/content.py says its form)."""

    __tablename__ = "batches"
    __table_args__ = (
        in_trash("batches"),
        Index("ix_batches_running", "id", postgresql_where=text("state = 'running'")),
    )

    project_id: Mapped[uuid.UUID] = parent("projects.id")
    name: Mapped[Name]
    template_id: Mapped[uuid.UUID | None] = reference("templates.id", index=True)
    number: Mapped[int | None]
    """The version of the template; None: the prompt was written for this batch."""
    content: Mapped[Json]
    file_name: Mapped[Name] = mapped_column(default="")
    columns: Mapped[JsonList]
    """The names of the sheet's columns, in their order."""
    left_out: Mapped[JsonList] = mapped_column(default=list)
    """What was noticed while the sheet was read, as sentences."""
    rows_count: Mapped[int] = mapped_column(default=0)
    mapping: Mapped[Json] = mapped_column(default=dict)
    """{variable: column}"""
    said_column: Mapped[Name] = mapped_column(default="")
    """What a person says after the prompt's own messages, where it waits for that."""
    expected_column: Mapped[Name] = mapped_column(default="")
    models: Mapped[JsonList] = mapped_column(default=list)
    """What each column of answers asks for: a model's name, a rule's, or `auto`."""
    at_once: Mapped[int] = mapped_column(default=8)
    """Runs in flight at most."""
    estimate: Mapped[Json] = mapped_column(default=dict)
    """What was told before it began: {low, high}, nano-USD; None: unknown."""

    state: Mapped[BatchState] = mapped_column(default=BatchState.DRAFT)
    why: Mapped[Long] = mapped_column(default="")
    """Why it paused by itself; empty: a person paused it."""
    refused_by: Mapped[uuid.UUID | None] = reference("budgets.id")
    """The limit that stopped it."""
    failures_in_a_row: Mapped[int] = mapped_column(default=0)
    rests_until: Mapped[Time | None]
    """It was asked to slow down."""
    turn_until: Mapped[Time | None]
    """A worker is at it until then."""
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    started_by: Mapped[uuid.UUID | None] = reference("users.id")
    """Whose runs these are, for limits."""
    started_at: Mapped[Time | None]
    finished_at: Mapped[Time | None]

    project: Mapped[Project] = relationship()
    template: Mapped[Template | None] = relationship()
    creator: Mapped[User | None] = relationship(foreign_keys=[created_by])
    checks: Mapped[list[BatchCheck]] = relationship(
        primaryjoin="and_(BatchCheck.batch_id == Batch.id, BatchCheck.deleted_at.is_(None))",
        order_by="BatchCheck.id",
        passive_deletes=True,
    )

    def discard(self, user_id: uuid.UUID | None) -> None:
        """What is in the trash asks nothing; taken out of it, it waits for somebody to go on."""
        super().discard(user_id)
        if self.state is BatchState.RUNNING:
            self.state, self.why = BatchState.PAUSED, "It was put into the trash."


class BatchRow(Base):
    __tablename__ = "batch_rows"
    __table_args__ = (UniqueConstraint("batch_id", "position"),)

    batch_id: Mapped[uuid.UUID] = parent("batches.id", index=False)
    position: Mapped[int]
    """From 1."""
    line: Mapped[int]
    """Where it began in the file."""
    values: Mapped[JsonList]
    """As texts, in the order of the columns."""


class BatchCell(Base):
    """`cost`: of all its tries, as far as it is known; `score`: the mean of all its scores, from 0 to 1."""

    __tablename__ = "batch_cells"
    __table_args__ = (
        UniqueConstraint("batch_id", "position", "model"),
        Index("ix_batch_cells_state", "batch_id", "state"),
        Index("ix_batch_cells_running", "batch_id", postgresql_where=text("state = 'running'")),
    )

    batch_id: Mapped[uuid.UUID] = parent("batches.id", index=False)
    row_id: Mapped[uuid.UUID] = parent("batch_rows.id")
    position: Mapped[int]
    """Its row's."""
    model: Mapped[int]
    """Which of the batch's models, from 0."""
    state: Mapped[CellState] = mapped_column(default=CellState.WAITING)
    tries: Mapped[int] = mapped_column(default=0)
    """How often it was sent to a provider since a person last wanted it."""
    execution_id: Mapped[uuid.UUID | None] = reference("executions.id", index=True)
    problem: Mapped[Long] = mapped_column(default="")
    cost: Mapped[Nano | None]
    seconds: Mapped[float | None]
    score: Mapped[float | None]
    passed: Mapped[bool | None]

    row: Mapped[BatchRow] = relationship()
    execution: Mapped[Execution | None] = relationship()


class BatchCheck(Trashable, Base):
    """How answers are scored without a person. `settings`: what is looked for (batches/rules.py, judging.py). One in
    the trash scores nothing, and what it scored counts for nothing."""

    __tablename__ = "batch_checks"
    __table_args__ = (in_trash("batch_checks"),)

    batch_id: Mapped[uuid.UUID] = parent("batches.id")
    kind: Mapped[CheckKind]
    settings: Mapped[Json]
    created_by: Mapped[uuid.UUID | None] = reference("users.id")

    batch: Mapped[Batch] = relationship(viewonly=True)

    @property
    def project_id(self) -> uuid.UUID:
        return self.batch.project_id


class BatchScore(Base):
    """What a check or a person thinks of an answer, from 0 to 1. Without `value` and `problem` a judge is at it."""

    __tablename__ = "batch_scores"
    __table_args__ = (
        UniqueConstraint("cell_id", "check_id"),
        UniqueConstraint("cell_id", "user_id"),
        Index("ix_batch_scores_open", "batch_id", postgresql_where=text("value IS NULL AND problem = ''")),
    )

    batch_id: Mapped[uuid.UUID] = parent("batches.id", index=False)
    cell_id: Mapped[uuid.UUID] = parent("batch_cells.id", index=False)
    check_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("batch_checks.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    value: Mapped[float | None]
    reason: Mapped[Long] = mapped_column(default="")
    problem: Mapped[Long] = mapped_column(default="")
    execution_id: Mapped[uuid.UUID | None] = reference("executions.id", index=True)
    """The judge's run."""

    check: Mapped[BatchCheck | None] = relationship()
    user: Mapped[User | None] = relationship()
    execution: Mapped[Execution | None] = relationship()


# -- the verbs of one row: each is one atomic statement ------------------------------------------


def take_turn(session: DbSession, id: uuid.UUID) -> bool:
    """One worker at a time moves a batch on. False: another one is at it."""
    free = or_(Batch.turn_until.is_(None), Batch.turn_until < func.now())
    query = update(Batch).where(Batch.id == id, free).values(turn_until=func.now() + TURN).returning(Batch.id)
    return session.scalar(query.execution_options(synchronize_session=False)) is not None


def end_turn(session: DbSession, id: uuid.UUID) -> None:
    query = update(Batch).where(Batch.id == id).values(turn_until=None)
    session.execute(query.execution_options(synchronize_session=False))


def turn(
    session: DbSession, id: uuid.UUID, before: tuple[BatchState, ...], after: BatchState, **values: object
) -> bool:
    """Bring a batch from one of these states into another. False: somebody else was first."""
    query = update(Batch).where(Batch.id == id, Batch.state.in_(before)).values(state=after, **values)
    return session.scalar(query.returning(Batch.id).execution_options(synchronize_session="fetch")) is not None


def score_again(session: DbSession, id: uuid.UUID, user_id: uuid.UUID) -> None:
    """One that is over goes on, for its answers to be scored; a judge's runs are of whoever asks for them. What goes on
    or will, scores them anyway."""
    over = BatchState.DONE, BatchState.CANCELLED
    turn(session, id, over, BatchState.RUNNING, started_by=user_id, finished_at=None)


def lock(session: DbSession, batch: Batch) -> None:
    """As it is now, until the commit: whoever changes it, asks again or adds a check comes before, or waits."""
    session.execute(select(Batch.id).where(Batch.id == batch.id).with_for_update())
    session.refresh(batch)


def begin_cell(session: DbSession, id: uuid.UUID, execution_id: uuid.UUID) -> bool:
    """It is asked now. False: it is no longer to be asked."""
    query = (
        update(BatchCell)
        .where(BatchCell.id == id, BatchCell.state == CellState.WAITING)
        .values(state=CellState.RUNNING, execution_id=execution_id, tries=BatchCell.tries + 1, problem="")
    )
    began = session.scalar(query.returning(BatchCell.id).execution_options(synchronize_session=False))
    return began is not None


def give_key_back(session: DbSession, runs: Sequence[uuid.UUID | None]) -> None:
    """Whatever came of these runs, what is asked next in their place is another, and not one of them found again."""
    query = update(Execution).where(Execution.id.in_(runs)).values(idempotency_key=None)
    session.execute(query.execution_options(synchronize_session=False))


def counts() -> ColumnElement[bool]:
    """Of a BatchScore: was it given by a person, or by a check that is not in the trash?"""
    gone = select(BatchCheck.id).where(BatchCheck.id == BatchScore.check_id, BatchCheck.deleted_at.is_not(None))
    return ~gone.correlate(BatchScore).exists()


def cells_of(session: DbSession, check: BatchCheck) -> list[uuid.UUID]:
    """Those that it scored, in the order in which all are changed."""
    scored = select(BatchScore.cell_id).where(BatchScore.check_id == check.id).order_by(BatchScore.cell_id)
    return list(session.scalars(scored))


def weigh(session: DbSession, cells: list[uuid.UUID]) -> None:
    """Sum up the scores of these cells in the cells themselves; passed is what has ENOUGH of every kind."""
    for id in cells:
        known = BatchScore.cell_id == id, BatchScore.value.is_not(None), counts()
        mean = select(func.avg(BatchScore.value)).where(*known).scalar_subquery()
        passed = select(func.bool_and(BatchScore.value >= ENOUGH)).where(*known).scalar_subquery()
        query = update(BatchCell).where(BatchCell.id == id).values(score=mean, passed=passed)
        session.execute(query.execution_options(synchronize_session=False))
