"""One prompt put to several models side by side, and which answer was the best: votes for routing.

A comparison's executions are ordinary ones. In the session they were made in, one of them stands for all.
"""

from __future__ import annotations

import uuid

from sqlalchemy import ForeignKey, UniqueConstraint, select
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from .base import Base, Name, Time, parent, reference
from .executions import Execution, State
from .workspace import Prompt, PromptSession


def _execution(ondelete: str) -> ForeignKey:
    """Checked at the commit: it is written before the execution itself, in the same transaction."""
    return ForeignKey("executions.id", ondelete=ondelete, deferrable=True, initially="DEFERRED")


class Comparison(Base):
    __tablename__ = "comparisons"
    __table_args__ = (UniqueConstraint("session_id", "submission"),)

    session_id: Mapped[uuid.UUID] = parent("prompt_sessions.id", index=False)
    prompt_id: Mapped[uuid.UUID | None] = reference("prompts.id")
    user_id: Mapped[uuid.UUID | None] = reference("users.id")
    submission: Mapped[Name]
    """Of the form it came by, and what that said: a double click is one comparison."""
    is_blind: Mapped[bool]
    repeats: Mapped[int]
    chosen_id: Mapped[uuid.UUID | None] = reference("executions.id")
    """The best answer."""
    chosen_by: Mapped[uuid.UUID | None] = reference("users.id")
    chosen_at: Mapped[Time | None]
    blind_choice_id: Mapped[uuid.UUID | None] = reference("executions.id")
    """What was chosen before the names were known; later choices leave it as it is."""
    shown_id: Mapped[uuid.UUID | None] = mapped_column(_execution("SET NULL"), index=True)
    """The run at whose place in the session the comparison stands."""
    continued_id: Mapped[uuid.UUID | None] = reference("executions.id", index=True)
    """The answer with which the session's conversation goes on; it is then `shown_id` too."""

    session: Mapped[PromptSession] = relationship()
    prompt: Mapped[Prompt | None] = relationship()
    runs: Mapped[list[ComparisonRun]] = relationship(order_by="ComparisonRun.id", cascade="all, delete-orphan")

    @property
    def project_id(self) -> uuid.UUID:
        return self.session.project_id

    @property
    def is_revealed(self) -> bool:
        """May names, costs and speeds be seen? In a blind comparison not before somebody chose."""
        return not self.is_blind or self.chosen_at is not None


class ComparisonRun(Base):
    """An execution of a comparison, whose id it has. Of several at one place and turn the latest counts: a retry."""

    __tablename__ = "comparison_runs"

    id: Mapped[uuid.UUID] = mapped_column(_execution("CASCADE"), primary_key=True)
    comparison_id: Mapped[uuid.UUID] = parent("comparisons.id")
    place: Mapped[int]
    """Its column. In a blind comparison the columns are in random order."""
    turn: Mapped[int]
    """Which of the repeats."""
    requested: Mapped[Name]

    execution: Mapped[Execution] = relationship()

    @property
    def is_gone(self) -> bool:
        """In the trash, or gone for good: what was said in it is not to be read here."""
        return self.execution.deleted_at is not None

    @property
    def text(self) -> str:
        """The answer; nothing while it is not there, or in the trash."""
        return "" if self.is_gone or self.execution.body is None else self.execution.body.text

    @property
    def is_whole(self) -> bool:
        return self.execution.state is State.COMPLETED and not self.is_gone


Execution.blind_in = column_property(
    select(Comparison.id)
    .join(ComparisonRun, ComparisonRun.comparison_id == Comparison.id)
    .where(ComparisonRun.id == Execution.id, Comparison.is_blind, Comparison.chosen_at.is_(None))
    .correlate_except(Comparison, ComparisonRun)
    .scalar_subquery(),
    deferred=True,
)
"""The blind comparison that it is in, while nobody has chosen: its model, cost and speed are then told nowhere."""
