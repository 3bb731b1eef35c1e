"""Runs of prompts. PostgreSQL is the truth about them; the queue only wakes a worker.

`executions` is narrow: lists and dashboards read nothing else. What was said lives in `execution_bodies`.
Every write of a running execution names its fence; a worker that lost its lease can change nothing.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Update,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

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
    evidence,
    in_trash,
    parent,
    reference,
)
from .explored import EXPLORED
from .hub import Model, Price, Provider
from .locks import ALIVE
from .measured import Lasted, Measured
from .opinions import Comment, Feedback
from .workspace import ModelType, Project, Prompt, PromptSession

if TYPE_CHECKING:
    from .accounts import User
    from .actions import Action
    from .assets import Asset
    from .templates import TemplateRun

LEASE = timedelta(seconds=30)


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


OPEN = (State.QUEUED, State.RUNNING)


class Origin(StrEnum):
    PLAYGROUND = "playground"
    GATEWAY = "gateway"
    IMPORT = "import"  # asked elsewhere, and paid there: it cost nothing here
    BATCH = "batch"
    JUDGE = "judge"  # it scores an answer of a batch


class Payer(StrEnum):
    ORGANIZATION = "organization"
    PLATFORM = "platform"
    NOBODY = "nobody"  # no key was needed: a local or simulated server


class Outcome(StrEnum):
    """How one call to a provider ended. SENT: it may have reached the provider, and we do not know more."""

    SENT = "sent"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


def _of_those_that_have(column: str, *further: str) -> Index:
    """An index of runs, most of which have no entry in it."""
    name = "_".join(("ix_executions", column, *further))
    return Index(name, column, *further, postgresql_where=text(f"{column} IS NOT NULL"))


class Execution(Measured, Trashable, Base):
    """One run of one prompt. Money in nano-USD; cost None: unknown. Its session may be in another project by now."""

    __tablename__ = "executions"
    __table_args__ = (
        UniqueConstraint("project_id", "idempotency_key"),
        Index("ix_executions_organization_id_created_at", "organization_id", "created_at"),
        Index("ix_executions_open", "state", "lease_until", postgresql_where=text("state IN ('queued', 'running')")),
        _of_those_that_have("session_id", "created_at"),
        *map(_of_those_that_have, ("prompt_id", "refused_by", "waits_for_id", "continues_id", "batch_id")),
        *EXPLORED,
        in_trash("executions"),
        CheckConstraint("cost >= 0", name="cost_is_not_negative"),
    )

    created_at: Mapped[Time] = mapped_column(default=func.now())
    """By the database's clock, as all that sweepers and leases go by: those of the machines may differ."""
    organization_id: Mapped[uuid.UUID] = parent("organizations.id", index=False)
    project_id: Mapped[uuid.UUID] = parent("projects.id", index=False)
    session_id: Mapped[uuid.UUID | None] = reference("prompt_sessions.id")
    prompt_id: Mapped[uuid.UUID | None] = reference("prompts.id")
    user_id: Mapped[uuid.UUID | None] = reference("users.id")
    token_id: Mapped[uuid.UUID | None] = reference("gateway_tokens.id")
    batch_id: Mapped[uuid.UUID | None] = reference("batches.id")
    """The batch that it is a part of."""
    origin: Mapped[Origin]
    model_type: Mapped[ModelType] = mapped_column(default=ModelType.TEXT)
    requested: Mapped[Name] = mapped_column(default="auto")
    """What was asked for: a model's name, a rule's name, or `auto`."""
    idempotency_key: Mapped[Name | None]

    state: Mapped[State] = mapped_column(default=State.QUEUED)
    fence: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[Name | None]
    lease_until: Mapped[Time | None]
    cancel_requested_at: Mapped[Time | None]
    enqueued_at: Mapped[Time | None]
    waits_for_id: Mapped[uuid.UUID | None] = reference("executions.id")
    """The run whose answer it continues, while that is not there yet, and where it came to nothing: its request has no
    conversation then (executions.waiting)."""
    continues_id: Mapped[uuid.UUID | None] = reference("executions.id")  # see executions.branches
    repairs_id: Mapped[uuid.UUID | None] = reference("executions.id")  # the run whose action call it repairs

    started_at: Mapped[Time | None]
    first_token_at: Mapped[Time | None]
    finished_at: Mapped[Time | None]

    rule_id: Mapped[uuid.UUID | None] = reference("routing_rules.id")
    provider_id: Mapped[uuid.UUID | None] = reference("providers.id")
    model_id: Mapped[uuid.UUID | None] = reference("models.id")
    api_key_id: Mapped[uuid.UUID | None] = reference("api_keys.id")
    payer: Mapped[Payer | None]
    finish: Mapped[Name | None]
    error_kind: Mapped[Name | None]
    refused_by: Mapped[uuid.UUID | None] = reference("budgets.id")
    """The limit that stopped it."""
    attempts_made: Mapped[int] = mapped_column(default=0)

    tokens_input: Mapped[int | None]
    tokens_cache_read: Mapped[int | None]
    tokens_cache_write: Mapped[int | None]
    tokens_output: Mapped[int | None]
    tokens_reasoning: Mapped[int | None]
    measures: Mapped[Json] = mapped_column(default=dict)
    """What was used beside tokens, and which tokens were of sound or pictures: {images, seconds, characters,
    input_audio, input_image, output_audio, output_image}; only what was reported. Seconds are a decimal in text."""
    cost: Mapped[Nano | None]
    labels: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What a program said of its call: {tags: [text], session: text}; and of an answer that was given before already,
    the run that it is from: {cached_from: id}."""
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list, server_default="{}", deferred=True)
    """Those of its program and of its session, in order; PostgreSQL writes them, and sums go by them (rollups)."""

    body: Mapped[ExecutionBody] = relationship(cascade="all, delete-orphan", single_parent=True)
    attempts: Mapped[list[Attempt]] = relationship(order_by="Attempt.number", cascade="all, delete-orphan")
    actions: Mapped[list[Action]] = relationship(order_by="Action.position", cascade="all, delete-orphan")
    assets: Mapped[list[Asset]] = relationship(
        order_by="Asset.position",
        primaryjoin="and_(Execution.id == Asset.execution_id, Asset.deleted_at.is_(None))",
    )
    waits_for: Mapped[Execution | None] = relationship(remote_side="Execution.id", foreign_keys=[waits_for_id])
    feedback: Mapped[list[Feedback]] = relationship(order_by=Feedback.id, passive_deletes=True)
    prompt: Mapped[Prompt | None] = relationship()
    session: Mapped[PromptSession | None] = relationship()
    project: Mapped[Project] = relationship(cascade="merge")
    model: Mapped[Model | None] = relationship()
    provider: Mapped[Provider | None] = relationship()
    user: Mapped[User | None] = relationship(foreign_keys=[user_id])
    template_run: Mapped[TemplateRun | None] = relationship(back_populates="execution", passive_deletes=True)

    if TYPE_CHECKING:
        blind_in: Mapped[uuid.UUID | None]  # see comparisons.py

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


Execution.comments_count = column_property(
    select(func.count(Comment.id))
    .where(Comment.execution_id == Execution.id, Comment.deleted_at.is_(None))
    .correlate_except(Comment)
    .scalar_subquery(),
    deferred=True,
)


class ExecutionBody(Base):
    """What was said, and why that model was chosen. `request` is the whole prompt (see executions.prompts)."""

    __tablename__ = "execution_bodies"

    id: Mapped[uuid.UUID] = mapped_column(ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True)
    request: Mapped[Json]
    text: Mapped[Long] = mapped_column(default="")
    reasoning: Mapped[Long] = mapped_column(default="")
    tool_calls: Mapped[JsonList] = mapped_column(default=list)
    segments: Mapped[JsonList] = mapped_column(default=list)
    """A transcript's stretches: [{text, start, end, speaker}], in seconds."""
    receipt: Mapped[Json] = mapped_column(default=dict)
    error: Mapped[Long] = mapped_column(default="")
    notice: Mapped[Long] = mapped_column(default="")
    """Something the person should know though nothing failed, such as a lowered max_tokens."""
    vectors: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    """Of embeddings that may be told again (executions.vectors)."""

    if TYPE_CHECKING:
        asked: Mapped[dict[str, Any] | None]


ExecutionBody.asked = column_property(ExecutionBody.request["messages"][-1], deferred=True)
"""The last message of its request: before it stands the whole conversation, which a page of many runs does not read."""


class Attempt(Lasted, Base):
    """One call to one provider with one key, whatever came of it."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("execution_id", "number"),)

    execution_id: Mapped[uuid.UUID] = parent("executions.id", index=False)
    number: Mapped[int]
    provider_id: Mapped[uuid.UUID | None] = evidence("providers.id")
    model_id: Mapped[uuid.UUID | None] = evidence("models.id")
    api_key_id: Mapped[uuid.UUID | None] = evidence("api_keys.id")
    price_id: Mapped[uuid.UUID | None] = evidence("prices.id")
    model_name: Mapped[Name]
    provider_name: Mapped[Name]
    payer: Mapped[Payer]
    outcome: Mapped[Outcome] = mapped_column(default=Outcome.SENT)
    started_at: Mapped[Time] = mapped_column(default=func.clock_timestamp())
    first_token_at: Mapped[Time | None]
    ended_at: Mapped[Time | None]
    error_kind: Mapped[Name | None]
    error: Mapped[Long] = mapped_column(default="")
    status: Mapped[int | None]
    response_id: Mapped[Name] = mapped_column(default="")
    response_model: Mapped[Name] = mapped_column(default="")
    tokens_input: Mapped[int | None]
    tokens_cache_read: Mapped[int | None]
    tokens_cache_write: Mapped[int | None]
    tokens_output: Mapped[int | None]
    tokens_reasoning: Mapped[int | None]
    measures: Mapped[Json] = mapped_column(default=dict)
    usage_is_estimated: Mapped[bool] = mapped_column(default=False)
    cost: Mapped[Nano | None]
    job: Mapped[Json | None]
    """A job that the provider works on: how any worker can ask for its answer {url, method, delay, cancel?}. No key."""

    price: Mapped[Price | None] = relationship()


# -- the verbs of one row: each is one atomic statement ------------------------------------------


def _update() -> Update:
    """Straight to the database: rows already in memory are not searched for what to change in them."""
    return update(Execution).execution_options(synchronize_session=False)


_TABLE = cast(Table, Execution.__table__)  # of columns, and built once: every prompt comes by the first and the last
_CLAIM = (
    update(_TABLE)
    .where(
        _TABLE.c.id == bindparam("claimed"),
        _TABLE.c.waits_for_id.is_(None),
        or_(_TABLE.c.state == State.QUEUED, _TABLE.c.lease_owner == bindparam("owner")),
    )
    .values(
        state=State.RUNNING,
        fence=_TABLE.c.fence + 1,
        lease_owner=bindparam("owner"),
        lease_until=func.now() + LEASE,
        started_at=func.now(),
    )
    .returning(_TABLE.c.fence)
)


def claim(session: DbSession, id: uuid.UUID, owner: str) -> int | None:
    """The new fence of a queued execution, or None. `owner` names this one claim, which may be made once more."""
    fence: int | None = session.connection().scalar(_CLAIM, {"claimed": id, "owner": owner})
    return fence


def renew(session: DbSession, held: dict[uuid.UUID, int]) -> dict[uuid.UUID, bool]:
    """Lengthen the leases of what this worker holds: {id: fence} → {id: should it stop?}.

    An id that does not come back is no longer this worker's to write. One whose row is being written at this moment is
    left for the next time: this locks many rows, and must not wait for somebody who may wait for one of them.
    """
    ours = and_(tuple_(Execution.id, Execution.fence).in_(list(held.items())), Execution.state == State.RUNNING)
    free = select(Execution.id).where(ours).with_for_update(key_share=True, skip_locked=True)
    lengthened = _update().where(Execution.id.in_(free)).values(lease_until=func.now() + LEASE)
    what = (Execution.id, Execution.cancel_requested_at)
    rows = session.execute(lengthened.returning(*what)).all()
    if len(rows) < len(held):
        rows = session.execute(select(*what).where(ours)).all()
    return {row.id: row.cancel_requested_at is not None for row in rows}


_CLOSE = (  # what is to be set comes with its parameters
    update(_TABLE)
    .where(
        _TABLE.c.id == bindparam("running"), _TABLE.c.fence == bindparam("with_fence"), _TABLE.c.state == State.RUNNING
    )
    .values(finished_at=func.clock_timestamp(), lease_until=None, lease_owner=None)
    .returning(_TABLE.c.id, ALIVE)
)


def close(session: DbSession, id: uuid.UUID, fence: int, state: State, **values: Any) -> bool:
    """Bring a running execution to its final state, where there is no answer (else journal.finish does). False: the
    fence has moved on, nothing was written."""
    final = {"running": id, "with_fence": fence, "state": state, **values}
    return session.connection().scalar(_CLOSE, final) is not None


def release(session: DbSession, id: uuid.UUID, fence: int) -> bool:
    """Put a running execution that sent nothing back into the queue."""
    released = session.scalar(
        _update()
        .where(Execution.id == id, Execution.fence == fence, Execution.state == State.RUNNING)
        .values(state=State.QUEUED, lease_until=None, lease_owner=None, enqueued_at=None, started_at=None)
        .returning(Execution.id)
    )
    return released is not None


def request_cancel(session: DbSession, id: uuid.UUID) -> State | None:
    """Ask an open execution to stop. A queued one is cancelled on the spot, unless it waits to go on with a job at a
    provider: that is to be ended too. The state now, or None if it had ended."""
    has_job = select(Attempt.id).where(Attempt.execution_id == id, Attempt.outcome == Outcome.SENT).exists()
    times = {"cancel_requested_at": func.now(), "finished_at": func.clock_timestamp()}
    cancelled: State | None = session.scalar(
        _update()
        .where(Execution.id == id, Execution.state == State.QUEUED, ~has_job)
        .values(state=State.CANCELLED, fence=Execution.fence + 1, **times)
        .returning(Execution.state)
    )
    if cancelled:
        return cancelled
    asked: State | None = session.scalar(
        _update()
        .where(Execution.id == id, Execution.state.in_(OPEN))
        .values(cancel_requested_at=func.coalesce(Execution.cancel_requested_at, func.now()))
        .returning(Execution.state)
    )
    return asked
