"""Limits: what one subject may spend or do, the windows in which that is counted, and more for a while.

Amounts are whole numbers in the limit's own unit: nano-USD, tokens or requests.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func, text, update
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from .accounts import User
from .base import NIL, Base, DbSession, JsonList, Long, Nano, Time, Trashable, in_trash, now, parent, reference

OWNER = f"coalesce(organization_id, '{NIL}')"
LIVING = text("deleted_at IS NULL")


class Scope(StrEnum):
    PLATFORM = "platform"
    ORGANIZATION = "organization"
    PROJECT = "project"
    MEMBER = "member"
    KEY = "key"
    TOKEN = "token"  # noqa: S105 (a scope, not a secret)
    PROVIDER = "provider"
    MODEL = "model"


class Window(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class Unit(StrEnum):
    USD = "usd"  # in nano-USD
    TOKENS = "tokens"
    REQUESTS = "requests"


class Pace(StrEnum):
    """What a rate counts: requests and tokens of a minute, prompts at the same moment."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    PARALLEL = "parallel"


Measure = Unit | Pace
"""What an amount of a limit is an amount of."""


class Budget(Trashable, Base):
    """A limit on what one subject may use in each window, in the organization's time zone.

    Without an organization it is the operator's: on the platform, or on one organization, provider or model of it. One
    in the trash holds nobody up and gives its place free; what was held against it is settled (quota/undoing.py).
    """

    __tablename__ = "budgets"
    __table_args__ = (
        Index(
            "uq_budgets_living",
            text(OWNER),
            "scope",
            "subject_id",
            "window",
            "unit",
            unique=True,
            postgresql_where=LIVING,
        ),
        Index("ix_budgets_subject_id", "subject_id"),
        in_trash("budgets"),
        CheckConstraint('"limit" >= 0', name="limit_is_not_negative"),
    )

    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id")
    scope: Mapped[Scope]
    subject_id: Mapped[uuid.UUID]
    """The organization, project, member …; the nil id for the platform."""
    window: Mapped[Window]
    unit: Mapped[Unit] = mapped_column(default=Unit.USD)
    limit: Mapped[Nano]
    is_hard: Mapped[bool] = mapped_column(default=True)
    """Hard: refuses. Soft: only counts, and tells."""
    alerts: Mapped[JsonList] = mapped_column(default=lambda: [50, 80, 100])
    """Percentages of the limit at which its people are told, once a window; in rising order."""
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    updated_at: Mapped[Time | None]

    increases: Mapped[list[Increase]] = relationship(back_populates="budget", passive_deletes=True)

    @validates("alerts")
    def _in_order(self, _: str, alerts: list[int]) -> list[int]:
        return sorted({int(percent) for percent in alerts})


class BudgetPeriod(Base):
    """One window of one budget: what was spent in it and what is held. Of a hard one `spent + reserved` is at most
    the limit, with the increases then in force, at every commit that adds to it."""

    __tablename__ = "budget_periods"
    __table_args__ = (
        UniqueConstraint("budget_id", "starts_at"),
        Index("ix_budget_periods_ends_at", "ends_at"),
        CheckConstraint("spent >= 0", name="spent_is_not_negative"),
        CheckConstraint("reserved >= 0", name="reserved_is_not_negative"),
    )

    budget_id: Mapped[uuid.UUID] = parent("budgets.id", index=False)
    starts_at: Mapped[Time]
    ends_at: Mapped[Time | None]
    opening: Mapped[Nano] = mapped_column(default=0)
    """What the ledger already said for this window when the budget was made in the middle of it, or was taken out of
    the trash: of calls that are not held against it. Within `spent`."""
    counted_at: Mapped[Time | None]
    """When it was counted anew, as the budget came out of the trash; None: never."""
    spent: Mapped[Nano] = mapped_column(default=0)
    reserved: Mapped[Nano] = mapped_column(default=0)
    alerted: Mapped[int] = mapped_column(default=0)
    """The highest of the budget's alerts that was told, in percent."""

    budget: Mapped[Budget] = relationship()


class LedgerDrift(Base):
    """A window that does not agree with the ledger (quota.Drift), from when that was found until it agrees again.
    Amounts in its budget's unit."""

    __tablename__ = "ledger_drifts"
    __table_args__ = (UniqueConstraint("period_id"),)

    period_id: Mapped[uuid.UUID] = parent("budget_periods.id", index=False)
    spent: Mapped[Nano]
    spent_by_the_ledger: Mapped[Nano]
    reserved: Mapped[Nano]
    held: Mapped[Nano]
    opening: Mapped[Nano]
    opening_by_the_ledger: Mapped[Nano]

    period: Mapped[BudgetPeriod] = relationship()


class RateLimit(Trashable, Base):
    """How fast one subject may ask: counted in Valkey, over the last minute and at the same moment. None: no limit."""

    __tablename__ = "rate_limits"
    __table_args__ = (
        Index("uq_rate_limits_living", text(OWNER), "scope", "subject_id", unique=True, postgresql_where=LIVING),
        Index("ix_rate_limits_subject_id", "subject_id"),
        in_trash("rate_limits"),
        CheckConstraint("requests_per_minute > 0", name="requests_are_positive"),
        CheckConstraint("tokens_per_minute > 0", name="tokens_are_positive"),
        CheckConstraint("parallel > 0", name="parallel_is_positive"),
    )

    organization_id: Mapped[uuid.UUID | None] = parent("organizations.id", index=False)
    scope: Mapped[Scope]
    subject_id: Mapped[uuid.UUID]
    requests_per_minute: Mapped[int | None]
    tokens_per_minute: Mapped[Nano | None]
    parallel: Mapped[int | None]
    created_by: Mapped[uuid.UUID | None] = reference("users.id")
    updated_at: Mapped[Time | None]

    def most(self, pace: Pace) -> int | None:
        """Without what more was granted; None: as much as one likes."""
        named = {Pace.REQUESTS: self.requests_per_minute, Pace.TOKENS: self.tokens_per_minute}
        return named.get(pace, self.parallel)

    @property
    def paces(self) -> tuple[Pace, ...]:
        """Those that it limits."""
        return tuple(pace for pace in Pace if self.most(pace) is not None)


class Answer(StrEnum):
    """What became of a request for more."""

    ASKED = "asked"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class Increase(Base):
    """A request for more of a budget, or of one pace of a rate, and what came of it: `granted` is added to the limit
    until `expires_at`."""

    __tablename__ = "budget_increases"
    __table_args__ = (
        Index("ix_budget_increases_budget_id_expires_at", "budget_id", "expires_at"),
        Index(
            "ix_budget_increases_rate_id_expires_at",
            "rate_id",
            "expires_at",
            postgresql_where=text("rate_id IS NOT NULL"),
        ),
        Index(
            "ix_budget_increases_in_force",
            "expires_at",
            postgresql_where=text("answer = 'approved' AND ended_at IS NULL"),
        ),
        CheckConstraint("num_nonnulls(budget_id, rate_id) = 1", name="is_of_one_limit"),
        CheckConstraint("(rate_id IS NULL) = (pace IS NULL)", name="a_rate_has_a_pace"),
        CheckConstraint("asked > 0", name="asked_is_positive"),
        CheckConstraint("granted > 0", name="granted_is_positive"),
    )

    organization_id: Mapped[uuid.UUID] = parent("organizations.id")
    budget_id: Mapped[uuid.UUID | None] = parent("budgets.id", index=False)
    rate_id: Mapped[uuid.UUID | None] = parent("rate_limits.id", index=False)
    pace: Mapped[Pace | None]
    asked: Mapped[Nano]
    reason: Mapped[Long] = mapped_column(default="")
    asked_by: Mapped[uuid.UUID | None] = reference("users.id")
    answer: Mapped[Answer] = mapped_column(default=Answer.ASKED)
    answer_note: Mapped[Long] = mapped_column(default="")
    answered_by: Mapped[uuid.UUID | None] = reference("users.id")
    answered_at: Mapped[Time | None]
    granted: Mapped[Nano | None]
    expires_at: Mapped[Time | None]
    ended_at: Mapped[Time | None]
    """When the audit log was told that it is over; it is no more in force from `expires_at` on."""

    budget: Mapped[Budget | None] = relationship(back_populates="increases")
    rate: Mapped[RateLimit | None] = relationship()
    asker: Mapped[User | None] = relationship(foreign_keys=[asked_by])
    answerer: Mapped[User | None] = relationship(foreign_keys=[answered_by])

    @property
    def of(self) -> Budget | RateLimit:
        """The limit that more is asked of."""
        return self.budget or cast(RateLimit, self.rate)

    @property
    def is_over(self) -> bool:
        """Was it granted, until a time that has come?"""
        return self.answer is Answer.APPROVED and self.expires_at is not None and self.expires_at <= now()

    @property
    def counted_in(self) -> Measure:
        return self.pace or cast(Budget, self.budget).unit


ASKED_OF_OPERATOR = func.coalesce(Budget.organization_id, RateLimit.organization_id).is_(None)
"""Of an Increase, where its budget and its rate are joined (holders.joined)."""


# -- the verbs of a request for more: each answers an open one, once, in one statement ------------


def approve(
    session: DbSession, id: uuid.UUID, by: uuid.UUID, granted: int, expires_at: datetime, note: str = ""
) -> bool:
    """Grant it, until then. False: it was answered or withdrawn before, and nothing was written."""
    return _answer(session, id, Answer.APPROVED, by, note, granted=granted, expires_at=expires_at)


def decline(session: DbSession, id: uuid.UUID, by: uuid.UUID, note: str = "") -> bool:
    return _answer(session, id, Answer.DECLINED, by, note)


def withdraw(session: DbSession, id: uuid.UUID, by: uuid.UUID) -> bool:
    return _answer(session, id, Answer.WITHDRAWN, by, "")


def _answer(session: DbSession, id: uuid.UUID, answer: Answer, by: uuid.UUID, note: str, **values: Any) -> bool:
    answered = session.scalar(
        update(Increase)
        .where(Increase.id == id, Increase.answer == Answer.ASKED)
        .values(answer=answer, answered_by=by, answered_at=func.now(), answer_note=note, **values)
        .returning(Increase.id)
        .execution_options(synchronize_session=False)
    )
    return answered is not None
