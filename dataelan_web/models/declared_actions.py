"""What a project lets models ask for: declared actions with their versions, and the calls that answers make of them.

A version never changes: a call is checked, approved and delivered by the one that was offered to the model.
"""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import JSON, Index, UniqueConstraint, and_, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .accounts import User
from .base import Base, Long, Name, Time, Trashable, in_trash, now, parent, reference
from .executions import Execution
from .workspace import Project

InOrder = Annotated[dict[str, Any], mapped_column(JSON)]
"""JSON whose names stay in the order that they were written in: people read it."""


class Approval(StrEnum):
    """Who has to agree before a call acts."""

    NOBODY = "nobody"
    EDITORS = "editors"
    ADMINS = "admins"


class DeclaredAction(Trashable, Base):
    """Something that models may ask for in a project, by its name. `number`: of the version that is offered now."""

    __tablename__ = "declared_actions"
    __table_args__ = (UniqueConstraint("project_id", "name"), in_trash("declared_actions"))

    project_id: Mapped[uuid.UUID] = parent("projects.id", index=False)
    name: Mapped[Name]
    number: Mapped[int] = mapped_column(default=1)
    is_enabled: Mapped[bool] = mapped_column(default=True)
    created_by: Mapped[uuid.UUID | None] = reference("users.id")

    project: Mapped[Project] = relationship()
    version: Mapped[ActionVersion] = relationship(
        primaryjoin=lambda: and_(
            DeclaredAction.id == ActionVersion.action_id, DeclaredAction.number == ActionVersion.number
        ),
        viewonly=True,
        uselist=False,
    )


class ActionReceiver(Base):
    """Who is told of an action's calls, one an origin: what is signed for it, as for a webhook (models.notices)."""

    __tablename__ = "action_receivers"

    action_id: Mapped[uuid.UUID] = parent("declared_actions.id")
    organization_id: Mapped[uuid.UUID] = parent("organizations.id", index=False)
    origin: Mapped[Long]
    ciphertext: Mapped[Long]
    previous_ciphertext: Mapped[Long] = mapped_column(default="")
    rotated_at: Mapped[Time | None]


class ActionVersion(Base):
    """What was declared. `schema`: of the arguments, a JSON Schema of an object. `url` empty: nothing is delivered."""

    __tablename__ = "action_versions"
    __table_args__ = (UniqueConstraint("action_id", "number"),)

    action_id: Mapped[uuid.UUID] = parent("declared_actions.id", index=False)
    number: Mapped[int]
    name: Mapped[Name]
    description: Mapped[Long]
    schema: Mapped[InOrder]
    sample: Mapped[InOrder]
    """Arguments to try a delivery with."""
    url: Mapped[Long] = mapped_column(default="")
    receiver_id: Mapped[uuid.UUID | None] = reference("action_receivers.id")
    approval: Mapped[Approval]
    most_repairs: Mapped[int]
    created_by: Mapped[uuid.UUID | None] = reference("users.id")

    action: Mapped[DeclaredAction] = relationship()
    receiver: Mapped[ActionReceiver | None] = relationship()


class How(StrEnum):
    """How an action was offered to a model."""

    TOOL = "tool"
    SCHEMA = "schema"
    NOT = "not"


class OfferedAction(Base):
    """A version that a run's model was offered, or why it was not."""

    __tablename__ = "offered_actions"
    __table_args__ = (UniqueConstraint("execution_id", "version_id"),)

    execution_id: Mapped[uuid.UUID] = parent("executions.id", index=False)
    version_id: Mapped[uuid.UUID] = parent("action_versions.id")
    how: Mapped[How]
    why: Mapped[Long] = mapped_column(default="")

    version: Mapped[ActionVersion] = relationship()


class CallState(StrEnum):
    RECEIVED = "received"
    REPAIRING = "repairing"
    INVALID = "invalid"
    WAITING = "waiting"
    DECLINED = "declined"
    ACCEPTED = "accepted"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    FAILED = "failed"


IN_HAND = (CallState.RECEIVED, CallState.REPAIRING, CallState.DELIVERING)
"""States that a worker brings on by itself."""


class ActionCall(Base):
    """An answer asks for a declared action. The row is its state, and the outbox: see acting/path.py."""

    __tablename__ = "action_calls"
    __table_args__ = (
        UniqueConstraint("execution_id", "position"),
        Index("ix_action_calls_in_hand", "state", "next_at", postgresql_where=text(
            "state IN ('received', 'repairing', 'delivering')")),
        Index("ix_action_calls_waiting", "organization_id", postgresql_where=text("state = 'waiting'")),
    )  # fmt: skip

    organization_id: Mapped[uuid.UUID] = parent("organizations.id", index=False)
    execution_id: Mapped[uuid.UUID] = parent("executions.id", index=False)
    version_id: Mapped[uuid.UUID | None] = reference("action_versions.id", index=True)
    position: Mapped[int]
    name: Mapped[Name]
    tool_call_id: Mapped[Name]
    how: Mapped[How]
    said: Mapped[Long]
    """The arguments as the model wrote them last."""
    arguments: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """The same, read; None: that is no JSON object."""
    state: Mapped[CallState] = mapped_column(default=CallState.RECEIVED)
    problem: Mapped[Long] = mapped_column(default="")
    """Why it is not, or not yet, what its schema asks for; or why it waits though it need not have."""
    repairs_made: Mapped[int] = mapped_column(default=0)

    decided_by: Mapped[uuid.UUID | None] = reference("users.id")
    decided_at: Mapped[Time | None]
    reason: Mapped[Long] = mapped_column(default="")

    tries: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[Time] = mapped_column(default=now)
    status: Mapped[int | None]
    error: Mapped[Long] = mapped_column(default="")
    delivered_at: Mapped[Time | None]

    execution: Mapped[Execution] = relationship()
    version: Mapped[ActionVersion | None] = relationship()
    decider: Mapped[User | None] = relationship()
    repairs: Mapped[list[ActionRepair]] = relationship(order_by="ActionRepair.number", passive_deletes=True)
    attempts: Mapped[list[ActionAttempt]] = relationship(
        order_by="ActionAttempt.id", passive_deletes=True, back_populates="call"
    )

    @property
    def declared(self) -> ActionVersion:
        """Its version, for whoever has seen that it is there."""
        if self.version is None:
            raise LookupError("what was declared is deleted for good")
        return self.version

    @property
    def is_in_hand(self) -> bool:
        return self.state in IN_HAND


class ActionRepair(Base):
    """A run that asked a model for better arguments. What it cost is the run's."""

    __tablename__ = "action_repairs"
    __table_args__ = (UniqueConstraint("call_id", "number"),)

    call_id: Mapped[uuid.UUID] = parent("action_calls.id", index=False)
    execution_id: Mapped[uuid.UUID] = parent("executions.id", index=False, unique=True)
    number: Mapped[int]

    execution: Mapped[Execution] = relationship()


class ActionAttempt(Base):
    """One delivery that was tried, or a test of one, which has no call. The log of a project's actions."""

    __tablename__ = "action_attempts"

    action_id: Mapped[uuid.UUID] = parent("declared_actions.id")
    call_id: Mapped[uuid.UUID | None] = parent("action_calls.id")
    message_id: Mapped[Name]
    """The `webhook-id` it was sent with."""
    number: Mapped[int]
    url: Mapped[Long]
    user_id: Mapped[uuid.UUID | None] = reference("users.id")
    """Who asked for this try; None: it was due."""
    ended_at: Mapped[Time | None]
    status: Mapped[int | None]
    error: Mapped[Long] = mapped_column(default="")
    answer: Mapped[Long] = mapped_column(default="")
    """The beginning of what was answered."""

    call: Mapped[ActionCall | None] = relationship(back_populates="attempts")
    user: Mapped[User | None] = relationship()

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.created_at).total_seconds() if self.ended_at else None


Execution.calls = relationship(ActionCall, order_by=ActionCall.position, viewonly=True)
Execution.offered = relationship(OfferedAction, viewonly=True)
