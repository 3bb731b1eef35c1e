"""What a limit of the operator's counted when it was made is checked piece by piece: those are everybody's lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, event, func, select, text, update

from dataelan_web import quota
from dataelan_web.executions import bookkeeping
from dataelan_web.executions.bookkeeping import check_books
from dataelan_web.extensions import db
from dataelan_web.jobs.queue import store
from dataelan_web.models import (
    Budget,
    BudgetPeriod,
    LedgerDrift,
    LedgerEntry,
    Organization,
    Payer,
    Scope,
    Unit,
    Window,
    now,
)
from dataelan_web.models.base import NIL
from dataelan_web.quota import Walk, openings, walking
from dataelan_web.quota.setting import USED, counts_for
from tests import people

from .steps import attempt, execution, line
from .test_books import turn  # noqa: F401  (a fixture)

# ruff: noqa: F811  (fixtures are arguments)

START = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.lists(st.integers(0, 10_000), max_size=30), st.integers(0, 12_000), st.lists(st.booleans(), max_size=60))
def test_pieces_come_to_the_whole_wherever_a_walk_is_left_and_gone_on_with(
    minutes: list[int], first: int, is_left: list[bool]
) -> None:
    lines, end = [START + timedelta(minutes=one) for one in minutes], START + timedelta(minutes=9_999)
    pieces: list[tuple[datetime, datetime]] = []

    def read(since: datetime, to: datetime) -> walking.Sums:
        pieces.append((since, to))
        count = sum(since <= one < to for one in lines)
        return count, 0, -count, 2 * count

    walk, leaves = Walk(START, end), iter(is_left)
    while walk.at < end:
        walk = walk.goes_on(START + timedelta(minutes=first), read, 0.0 if next(leaves, False) else float("inf"))
        walk = Walk.of(json.loads(json.dumps(walk.kept())))
    counted = sum(one < end for one in lines)
    assert walk.sums == (counted, 0, -counted, 2 * counted)
    assert [to for _, to in pieces[:-1]] == [since for since, _ in pieces[1:]]
    assert all(to - since <= walking.LONGEST for since, to in pieces[1:])


@pytest.mark.parametrize(("seconds", "hours"), [(0.01, 2.0), (0.5, 1.0), (5.0, 0.5)])
def test_a_piece_is_as_long_as_there_is_time_for(seconds: float, hours: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, seconds, seconds))
    monkeypatch.setattr(walking.time, "monotonic", lambda: next(clock))
    walk = Walk(START, START + timedelta(days=9)).goes_on(START, lambda since, to: (0, 0, 0, 0), 0.0)
    assert (walk.at - START, walk.step) == (timedelta(hours=1), timedelta(hours=hours))


@pytest.fixture
def platform(acme: people.Cast) -> Iterator[Budget]:
    """A limit of the operator's on all there is, made two hours ago, before whatever other tests asked, and after a
    call an hour since thirty hours ago."""
    oldest = update(Organization).where(Organization.id == acme.organization.id)
    db.session.execute(oldest.values(created_at=func.now() - timedelta(hours=30)))
    for hours in range(1, 31):
        made = line(acme.organization.id, hours, tokens=hours)
        made.payer, made.attempt_id = Payer.PLATFORM, attempt(execution(acme).id, payer=Payer.PLATFORM)
        made.created_at = func.now() - timedelta(hours=hours) + timedelta(minutes=10)
        db.session.add(made)
    db.session.commit()
    budget = quota.set_limit(db.session, None, Scope.PLATFORM, NIL, Window.TOTAL, 10**15, Unit.USD)
    db.session.flush()
    ago = {"created_at": func.now() - timedelta(hours=2)}
    everybodys = counts_for(Scope.PLATFORM, Unit.USD, None, NIL), LedgerEntry.created_at < ago["created_at"]
    opening = select(func.sum(USED[Unit.USD])).where(*everybodys).scalar_subquery()
    counted = {"opening": opening, "spent": BudgetPeriod.spent - BudgetPeriod.opening + opening}
    db.session.execute(update(Budget).where(Budget.id == budget.id).values(ago))
    db.session.execute(update(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id).values(ago | counted))
    db.session.commit()
    yield budget
    db.session.rollback()
    quota.delete_limit(db.session, budget)
    db.session.commit()


def window_of(budget: Budget) -> BudgetPeriod:
    db.session.rollback()
    return db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id)).one()


def a_minute_later(budget: Budget) -> tuple[set[object], dict[str, object]]:
    """(what drifted, which windows are read in part). Of those that are looked at in turn, it is this limit's."""
    store().delete(bookkeeping.TURN)
    store().set(f"{bookkeeping.TURN}:openings", str(UUID(int=window_of(budget).id.int - 1)))
    found = {one.budget_id for one in check_books()}
    return found, json.loads(store().get(f"{bookkeeping.TURN}:walks") or "{}")  # type: ignore[arg-type]


def wrong_by(budget: Budget, amount: int) -> None:
    row = window_of(budget)
    row.opening, row.spent = row.opening + amount, row.spent + amount
    db.session.commit()


def test_a_limit_on_the_platform_is_checked_in_as_many_turns_as_it_takes_and_exactly(
    platform: Budget, turn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bookkeeping, "PATIENCE", 0.0)  # one piece a turn
    monkeypatch.setattr(bookkeeping, "OPENINGS", 1)
    store().delete(f"{bookkeeping.TURN}:walks")
    oldest = now() - timedelta(hours=30)  # whatever organizations other tests made older
    monkeypatch.setattr(openings, "first_of_all", lambda session: oldest)
    window = window_of(platform)
    assert window.opening >= sum(range(3, 31)), "what others spent in these tests is everybody's as well"
    wrong_by(platform, 1)
    turns = 0
    while turns < 60:
        turns += 1
        found, begun = a_minute_later(platform)
        if platform.id in found:
            break
        assert str(window.id) in begun, "it goes on where it was, and does not begin anew"
    assert 4 < turns < 40
    assert row_of(platform) is not None
    found, begun = a_minute_later(platform)
    assert (platform.id in found, str(window.id) in begun) == (False, True), "looked at again, and not decided yet"
    assert row_of(platform) is not None, "until then it is as it was"
    wrong_by(platform, -1)
    for _ in range(60):
        a_minute_later(platform)
        if row_of(platform) is None:
            break
    assert row_of(platform) is None
    assert quota.wrong_openings(db.session, [window_of(platform)]) == []


def row_of(budget: Budget) -> LedgerDrift | None:
    db.session.rollback()
    return db.session.scalars(
        select(LedgerDrift).join(BudgetPeriod).where(BudgetPeriod.budget_id == budget.id)
    ).one_or_none()


def test_a_limit_on_the_platform_sums_up_piece_by_piece_too_when_it_is_made(platform: Budget) -> None:
    """Over all lines in one statement, there are runs enough somewhere that it could not be made at all."""
    summed: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        summed.extend([statement] if "sum(ledger_entries.tokens)" in statement else [])

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        made = quota.set_limit(db.session, None, Scope.PLATFORM, NIL, Window.TOTAL, 10**15, Unit.TOKENS)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert len(summed) > 4
    whole = select(func.sum(LedgerEntry.tokens)).where(LedgerEntry.payer != Payer.ORGANIZATION)
    assert db.session.scalars(select(BudgetPeriod.opening).where(BudgetPeriod.budget_id == made.id)).one() == (
        db.session.scalar(whole)
    )
    db.session.rollback()


def test_a_piece_reads_the_lines_of_its_hours_alone(platform: Budget) -> None:
    """By their index: of ten million lines, a piece would read all otherwise, and there are hundreds of pieces."""
    asked = openings._sums(Scope.PLATFORM, Unit.USD, True).where(
        BudgetPeriod.budget_id == platform.id, LedgerEntry.created_at >= func.now() - timedelta(hours=1)
    )
    db.session.execute(walking._READS_ALL, {"may": "off"})
    compiled = asked.compile(db.engine, compile_kwargs={"literal_binds": True})
    plan = "\n".join(db.session.scalars(text(f"EXPLAIN {compiled}")))
    assert "Seq Scan on ledger_entries" not in plan
    assert "Seq Scan on attempts" not in plan
    assert "executions" not in plan
    db.session.rollback()
    db.session.execute(delete(LedgerDrift))
    db.session.commit()
