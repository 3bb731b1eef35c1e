"""The demo: believable months, the same for the same seed, with books that agree."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from sqlalchemy import func, select

from dataelan_web import demo, demo_rhythm
from dataelan_web.extensions import db
from dataelan_web.models import Attempt, Execution, ExecutionBody, LedgerEntry, Organization
from dataelan_web.models.base import now
from dataelan_web.rollups.rebuilding import drift

RUNS = 3_000


def drawn(home: Organization) -> tuple[int, ...]:
    failed, other = Execution.state == "failed", Execution.attempts_made > 1
    columns = (func.count(), func.sum(Execution.tokens_input), func.count().filter(failed), func.count().filter(other))
    row = db.session.execute(select(*columns).where(Execution.organization_id == home.id)).one()
    return tuple(map(int, row))


def test_the_demo_is_the_same_for_the_same_seed_and_its_books_agree(context: None) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    at = now()
    (first, many), (second, few) = demo.seed(RUNS, 60, 5, email, "a password for it", "Demo", 2, at)
    assert (many, few) == (1200, 1800)
    ((again, _),) = demo.seed(1200, 60, 5, email, "a password for it", "Demo", at=at)
    assert drawn(first) == drawn(again)
    assert drawn(first) != drawn(second)
    assert drawn(first)[0] == 1200
    assert min(drawn(first)) > 0
    for home in (first, second):
        assert not drift(home)
        mine = select(Execution.id).where(Execution.organization_id == home.id)
        cost = db.session.scalar(select(func.sum(Execution.cost)).where(Execution.organization_id == home.id))
        lines = select(func.sum(LedgerEntry.amount)).where(LedgerEntry.organization_id == home.id)
        assert cost == db.session.scalar(lines)
        assert db.session.scalar(select(func.count()).where(ExecutionBody.id.in_(mine))) == drawn(home)[0]
        calls = db.session.scalar(select(func.count()).where(Attempt.execution_id.in_(mine)))
        assert calls == drawn(home)[0] + drawn(home)[3]


def test_the_demos_people_work_by_day_and_on_weekdays() -> None:
    found = demo_rhythm.stretches(28, 20_000, datetime(2026, 3, 18, 12, 40, tzinfo=UTC), 1)
    assert sum(one.runs for one in found) == 20_000
    by_day, by_night = (sum(one.runs for one in found if one.hour in hours) for hours in (range(9, 12), range(3)))
    assert by_day > 5 * by_night
    weekend = sum(one.runs for one in found if one.starts_at.isoweekday() > 5)
    assert 0.03 < weekend / 20_000 < 0.15
    assert found[-1].starts_at == datetime(2026, 3, 18, 12, tzinfo=UTC)
    assert found[-1].seconds == 40 * 60
