"""Whatever happens in whatever order, limits hold and the books agree: Q1 to Q8 and Q11 of the security notes.

DATAELAN_SEQUENCES says how many sequences are tried: a few by themselves, 10,000 of up to 50 steps for a release.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select, text, update

from dataelan_web import quota
from dataelan_web.extensions import db
from dataelan_web.models import Answer, Attempt, Budget, BudgetPeriod, Increase, Scope, Unit, Window, now
from dataelan_web.quota import OverLimit, Use
from tests import people

from .steps import attempt, charge, execution, let_the_window_end, lines, subjects, watched

SEQUENCES = int(os.environ.get("DATAELAN_SEQUENCES", "0"))
AMOUNTS = st.integers(0, 60)
PLACE = st.integers(0, 100)


@dataclass
class Limit:
    """A budget as a few lines of Python have it. A window is [spent, {attempt: held}]."""

    budget: Budget
    unit: Unit
    most: int
    is_hard: bool = True
    increases: list[Increase] = field(default_factory=list)
    windows: list[tuple[list[int], dict[uuid.UUID, int]]] = field(default_factory=lambda: [([0], {})])

    @property
    def used(self) -> int:
        (spent,), held = self.windows[-1]
        return spent + sum(held.values())

    @property
    def limit(self) -> int:
        return self.most + sum(one.granted or 0 for one in self.increases)

    def refuses(self, amount: int) -> bool:
        return self.is_hard and self.used + amount > self.limit

    def end(self, attempt_id: uuid.UUID, window: int, spent: int) -> None:
        self.windows[window][1].pop(attempt_id, None)
        self.windows[window][0][0] += spent


@dataclass
class Call:
    id: uuid.UUID
    held: Use
    windows: list[int]
    """The window of each limit that it was held in."""
    is_charged: bool = False
    was_counted: bool = False


class Limits(RuleBasedStateMachine):
    """Four limits in three units, hard or soft, of four windows, that count the same calls."""

    cast: people.Cast
    begun = 0

    @initialize(most=st.lists(st.integers(0, 150), min_size=4, max_size=4))
    def begin(self, most: list[int]) -> None:
        db.session.rollback()
        self.who = subjects(self.cast, token_id=uuid.uuid4(), key_id=uuid.uuid4())
        self.execution_id = execution(self.cast).id
        which = (
            (Scope.MODEL, self.who.model_id, Window.MONTH, Unit.USD),
            (Scope.PROVIDER, self.who.provider_id, Window.DAY, Unit.TOKENS),
            (Scope.TOKEN, self.who.token_id, Window.WEEK, Unit.REQUESTS),
            (Scope.KEY, self.who.key_id, Window.TOTAL, Unit.USD),
        )
        self.limits = []
        for amount, (scope, subject, window, unit) in zip(most, which, strict=True):
            amount = amount // 10 if unit is Unit.REQUESTS else amount
            assert subject
            made = quota.set_limit(db.session, self.cast.organization.id, scope, subject, window, amount, unit)
            self.limits.append(Limit(made, unit, amount))
        db.session.commit()
        self.open, self.over = list[Call](), list[Call]()
        Limits.begun += 1
        if Limits.begun % 100 == 0:  # nothing else tells a database of tests that its tables grew
            db.session.execute(text("ANALYZE"))
            db.session.commit()

    # -- calls -----------------------------------------------------------------------------------

    @rule(usd=AMOUNTS, tokens=AMOUNTS)
    def reserves(self, usd: int, tokens: int) -> None:
        id, use = attempt(self.execution_id), Use(usd, tokens)
        refusing = [limit for limit in self.limits if limit.refuses(use.of(limit.unit))]
        try:
            quota.reserve(db.session, quota.applicable(db.session, self.who), self.execution_id, id, use)
        except OverLimit as over:
            db.session.rollback()
            told = {limit.budget.id: (limit.limit, max(0, limit.limit - limit.used)) for limit in refusing}
            assert told[over.budget.id] == (over.limit, over.left)  # noqa: PT017 (it is not always refused)
        else:
            quota.commit(db.session)
            assert not refusing
            for limit in self.limits:
                limit.windows[-1][1][id] = use.of(limit.unit)
            self.open.append(Call(id, use, [len(limit.windows) - 1 for limit in self.limits]))

    @precondition(lambda self: self.open)
    @rule(place=PLACE, usd=st.floats(0, 1.3), tokens=st.floats(0, 1.3))
    def settles(self, place: int, usd: float, tokens: float) -> None:
        """With at most what was held, mostly; the provider may count more."""
        call = self.open.pop(place % len(self.open))
        used = Use(int(call.held.usd * usd), int(call.held.tokens * tokens))
        is_over = self._settle(call, used)
        more = [used.of(limit.unit) > call.held.of(limit.unit) for limit in self.limits if limit.is_hard]
        assert is_over is any(more)

    @precondition(lambda self: self.open)
    @rule(place=PLACE)
    def voids(self, place: int) -> None:
        """Never sent, or swept when its time had run out."""
        call = self.open.pop(place % len(self.open))
        self._void(call)
        for limit, window in zip(self.limits, call.windows, strict=True):
            limit.end(call.id, window, 0)
        self.over.append(call)

    @precondition(lambda self: self.over)
    @rule(place=PLACE)
    def voids_again(self, place: int) -> None:
        self._void(self.over[place % len(self.over)])

    @precondition(lambda self: self.over)
    @rule(place=PLACE, usd=AMOUNTS)
    def is_billed_late_or_again(self, place: int, usd: int) -> None:
        """The first bill counts, whenever it comes, and no second one does."""
        call = self.over.pop(place % len(self.over))
        self._settle(call, Use(usd, usd))

    @precondition(lambda self: any(call.is_charged for call in self.over))
    @rule(place=PLACE, usd=st.integers(-20, 20))
    def is_corrected(self, place: int, usd: int) -> None:
        charged = [call for call in self.over if call.is_charged]
        call = charged[place % len(charged)]
        if sum(amount for amount, _, _ in lines(call.id)) + usd < 0:
            return
        quota.correct(db.session, call.id, usd, "Corrected", None)
        db.session.commit()
        for limit, window in zip(self.limits, call.windows, strict=True):
            if limit.unit is Unit.USD:
                limit.windows[window][0][0] += usd

    def _settle(self, call: Call, used: Use) -> bool:
        db.session.execute(update(Attempt).where(Attempt.id == call.id).values(ended_at=now(), cost=used.usd))
        entry = charge(self.cast.organization.id, used.usd, used.tokens)
        is_over = quota.settle(db.session, call.id, entry)
        quota.commit(db.session)
        for limit, window in zip(self.limits, call.windows, strict=True):
            limit.end(call.id, window, 0 if call.is_charged else used.of(limit.unit))
        call.is_charged = True
        self.over.append(call)
        return is_over

    def _void(self, call: Call) -> None:
        quota.void(db.session, call.id)
        quota.commit(db.session)

    # -- limits ----------------------------------------------------------------------------------

    @rule(which=st.integers(0, 3), amount=st.integers(0, 200), is_hard=st.sampled_from([True, True, False]))
    def changes_a_limit(self, which: int, amount: int, is_hard: bool) -> None:
        limit = self.limits[which]
        budget = limit.budget
        quota.set_limit(db.session, budget.organization_id, budget.scope, budget.subject_id, budget.window, amount,
                        budget.unit, is_hard)  # fmt: skip
        db.session.commit()
        limit.most, limit.is_hard = amount, is_hard

    @rule(which=st.integers(0, 3), amount=st.integers(1, 100))
    def grants_more(self, which: int, amount: int) -> None:
        budget = self.limits[which].budget
        made = Increase(organization_id=budget.organization_id, budget_id=budget.id, asked=amount, granted=amount)
        made.answer, made.expires_at = Answer.APPROVED, now() + timedelta(hours=1)
        db.session.add(made)
        db.session.commit()
        self.limits[which].increases.append(made)

    @precondition(lambda self: any(limit.increases for limit in self.limits))
    @rule(place=PLACE)
    def more_runs_out(self, place: int) -> None:
        granted = [limit for limit in self.limits if limit.increases]
        ended = granted[place % len(granted)].increases.pop()
        ended.expires_at = now() - timedelta(seconds=1)
        db.session.commit()

    @rule(which=st.integers(0, 2))
    def a_window_ends(self, which: int) -> None:
        limit = self.limits[which]
        if limit.windows[-1] != ([0], {}):
            let_the_window_end(limit.budget)
            limit.windows.append(([0], {}))

    @invariant()
    def the_books_agree(self) -> None:
        budgets = [limit.budget.id for limit in self.limits]
        rows = select(BudgetPeriod.budget_id, BudgetPeriod.spent, BudgetPeriod.reserved)
        in_order = rows.where(BudgetPeriod.budget_id.in_(budgets)).order_by(BudgetPeriod.starts_at)
        found = db.session.execute(in_order).all()
        for limit in self.limits:
            kept = [(spent, sum(held.values())) for (spent,), held in limit.windows]
            counted = [(spent, reserved) for budget_id, spent, reserved in found if budget_id == limit.budget.id]
            assert counted == kept[: len(counted)]
            assert not any(any(window) for window in kept[len(counted) :])
        assert not quota.drift(db.session, of=budgets)


def test_any_order_of_events_keeps_the_books_in_balance(context: None) -> None:
    Limits.cast = people.cast("Model")
    with watched():
        run_state_machine_as_test(
            Limits,
            settings=settings(
                max_examples=SEQUENCES or 20,
                stateful_step_count=50 if SEQUENCES else 12,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
