"""Sums over runs: each run and each line of the ledger counts once, whoever counts, however often."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import ColumnElement, event, func, select, text
from sqlalchemy.exc import DBAPIError

from dataelan_web import quota
from dataelan_web.dashboards import ranges, runs
from dataelan_web.dashboards.runs import Only, Wanted
from dataelan_web.dashboards.sums import Asked
from dataelan_web.extensions import db
from dataelan_web.models import (
    ROLLUP_KEYS,
    ROLLUP_RETAGS,
    ROLLUPS,
    Attempt,
    Execution,
    LedgerEntry,
    Model,
    Origin,
    Outcome,
    Payer,
    State,
    new_id,
    now,
)
from dataelan_web.models.base import NIL
from dataelan_web.models.rollups import Grain
from dataelan_web.rollups import histogram
from dataelan_web.rollups.cuts import Cut
from dataelan_web.rollups.keeping import fold, fold_all, prune
from dataelan_web.rollups.rebuilding import drift, rebuild, rebuild_due
from dataelan_web.rollups.retagging import retag
from dataelan_web.sums_seen import SumsSeen

from . import people


def paid(
    cast: people.Cast,
    cost: int | None,
    model: Model | None = None,
    further: Iterable[tuple[Model, int | None, str | None]] = (),
    **values: object,
) -> Execution:
    """A run with two tags and one call that cost this much, and its line. Commits.

    further: model, cost and error of each call after the first. The run ends with its calls there, as any does: a
    worker of another test counts it at once."""
    usual = {"cost": cost, "attempts_made": 1, "labels": {"tags": ["nightly", "eu"]}}
    over = {"state": State.COMPLETED, "finished_at": now(), **values}
    run = people.ended(cast, "How much?", via_gateway=True, **usual | over | {"state": State.RUNNING})
    called(run, cost, model, 1)
    for number, (other, paid_for_it, error) in enumerate(further, start=2):
        called(run, paid_for_it, other, number).error_kind = error
    run.state = over["state"]  # type: ignore[assignment]
    db.session.commit()
    return run


def called(run: Execution, cost: int | None, model: Model | None, number: int) -> Attempt:
    """A call of a run, and its line."""
    attempt = Attempt(id=new_id(), execution_id=run.id, number=number, model_name="a", provider_name="b")
    attempt.payer, attempt.outcome, attempt.cost, attempt.ended_at = Payer.ORGANIZATION, Outcome.COMPLETED, cost, now()
    if model:
        attempt.model_id, attempt.provider_id = model.id, model.provider_id
    db.session.add(attempt)
    db.session.flush()
    if cost:
        line = LedgerEntry(organization_id=run.organization_id, attempt_id=attempt.id, payer=attempt.payer, amount=cost)
        db.session.add(line)
    return attempt


def sums(cast: people.Cast, cut: Cut = Cut.FULL, grain: Grain = Grain.QUARTER) -> tuple[int, int, int]:
    """(runs, cost, unpriced)"""
    row = db.session.execute(
        select(func.sum(ROLLUPS.c.runs), func.sum(ROLLUPS.c.cost), func.sum(ROLLUPS.c.unpriced))
        .join(ROLLUP_KEYS, ROLLUP_KEYS.c.id == ROLLUPS.c.key_id)
        .where(ROLLUP_KEYS.c.organization_id == cast.organization.id, ROLLUP_KEYS.c.cut == cut)
        .where(ROLLUPS.c.grain == grain)
    ).one()
    return int(row[0] or 0), int(row[1] or 0), int(row[2] or 0)


def count_all() -> None:
    """Until the sums are up to date; a worker of another test may be at it."""
    while db.session.scalar(
        text("""SELECT count(*) FROM rollup_queue q JOIN executions e ON e.id = q.execution_id
            WHERE e.state NOT IN ('queued', 'running')""")
    ):
        db.session.rollback()
        rebuild_due()
        fold_all()


def test_every_run_counts_once_in_every_cut_and_grain(acme: people.Cast) -> None:
    for cost in (5, 7, None):
        paid(acme, cost)
    count_all()
    fold_all()
    assert {sums(acme, cut, grain) for cut in Cut for grain in Grain} == {(3, 12, 1)}
    assert not drift(acme.organization)


def test_a_line_waits_for_the_end_of_its_run(acme: people.Cast) -> None:
    run = people.ended(acme, "Slow", via_gateway=True, state=State.RUNNING, finished_at=None)
    called(run, 9, None, 1)
    db.session.commit()
    count_all()
    assert sums(acme) == (0, 0, 0)
    rebuild(acme.organization)
    assert sums(acme) == (0, 0, 0)
    assert not drift(acme.organization)
    run.state, run.cost, run.finished_at = State.COMPLETED, 9, now()
    db.session.commit()
    count_all()
    assert sums(acme) == (1, 9, 0)
    assert not drift(acme.organization)


def test_a_correction_mends_the_sums_of_its_run(acme: people.Cast) -> None:
    run = paid(acme, None)
    count_all()
    assert sums(acme) == (1, 0, 1)
    attempt = db.session.scalars(select(Attempt).where(Attempt.execution_id == run.id)).one()
    quota.correct(db.session, attempt.id, 40, "It was priced", None)
    db.session.commit()
    assert not drift(acme.organization), "what waits is no drift"
    count_all()
    assert sums(acme) == (1, 40, 0)
    assert not drift(acme.organization)


def test_money_counts_where_it_was_paid_and_the_run_where_it_was_answered(acme: people.Cast) -> None:
    first, second = people.simulated_model(), people.simulated_model("simulated-fast")
    run = paid(acme, 30, first, model_id=second.id, provider_id=second.provider_id)
    called(run, 4, second, 2)
    db.session.commit()
    count_all()
    query = (
        select(ROLLUP_KEYS.c.model_id, func.sum(ROLLUPS.c.runs), func.sum(ROLLUPS.c.cost))
        .join(ROLLUPS, ROLLUPS.c.key_id == ROLLUP_KEYS.c.id)
        .where(ROLLUP_KEYS.c.organization_id == acme.organization.id, ROLLUP_KEYS.c.cut == Cut.MODELS)
        .where(ROLLUPS.c.grain == Grain.DAY)
        .group_by(ROLLUP_KEYS.c.model_id)
    )
    assert {row[0]: (row[1], row[2]) for row in db.session.execute(query)} == {first.id: (0, 30), second.id: (1, 4)}


def test_what_is_imported_was_paid_elsewhere(acme: people.Cast) -> None:
    people.ended(acme, "Elsewhere", via_gateway=True, origin=Origin.IMPORT)
    count_all()
    assert sums(acme) == (0, 0, 0)
    assert not drift(acme.organization)


def test_several_workers_at_once_and_a_rebuild_count_once(acme: people.Cast, app: Flask) -> None:
    for cost in range(1, 31):
        paid(acme, cost)

    def work(act: object) -> None:
        with app.app_context():
            for _ in range(20):
                fold(3)
            if act:
                rebuild(acme.organization)

    workers = [threading.Thread(target=work, args=(act,)) for act in (False, False, True)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    count_all()
    assert sums(acme) == (30, 465, 0)
    assert not drift(acme.organization)


def test_a_rebuild_waits_for_whoever_is_at_it_longer_than_a_statement_may_take(acme: people.Cast, app: Flask) -> None:
    """A worker that counts a large organization anew takes minutes."""
    paid(acme, 5)
    count_all()
    lock = text(f"SELECT pg_advisory_lock({acme.organization.id.int & 0x7FFF_FFFF_FFFF_FFFF})")
    counted = list[int]()

    def work() -> None:
        with app.app_context():
            counted.append(rebuild(acme.organization))

    def hurries(connection: Any, _: object) -> None:
        connection.cursor().execute("SET statement_timeout = '1s'")
        connection.commit()

    with db.engine.connect() as somebody:
        somebody.execute(lock)
        event.listen(db.engine, "connect", hurries)
        db.engine.dispose()
        waiting = threading.Thread(target=work)
        try:
            waiting.start()
            waiting.join(1.5)
            assert waiting.is_alive()
            somebody.execute(text("SELECT pg_advisory_unlock_all()"))
            waiting.join(30)
        finally:
            event.remove(db.engine, "connect", hurries)
            db.engine.dispose()
    assert counted == [1]


def test_drift_is_found_and_a_rebuild_mends_it(acme: people.Cast) -> None:
    paid(acme, 5)
    count_all()
    mine = select(ROLLUP_KEYS.c.id).where(ROLLUP_KEYS.c.organization_id == acme.organization.id)
    db.session.execute(ROLLUPS.update().where(ROLLUPS.c.key_id.in_(mine)).values(cost=ROLLUPS.c.cost + 1))
    db.session.commit()
    assert len(found := drift(acme.organization)) == len(Cut) * len(Grain)
    assert found[0].counted_cost == found[0].cost + found[0].buckets == 5 + found[0].buckets
    assert rebuild(acme.organization) == 1
    assert sums(acme) == (1, 5, 0)
    assert not drift(acme.organization)


ZONES = ["Asia/Kolkata", "Asia/Kathmandu", "America/New_York"]


@pytest.mark.parametrize("zone", ZONES)
def test_hours_days_and_weeks_are_the_organizations_and_change_with_its_zone(acme: people.Cast, zone: str) -> None:
    asked = (now() - timedelta(days=1)).replace(hour=18, minute=20, second=0, microsecond=0)
    paid(acme, 1, created_at=asked, finished_at=asked + timedelta(seconds=2))
    count_all()
    acme.organization.time_zone = zone
    db.session.commit()
    paid(acme, 1, created_at=asked, finished_at=asked + timedelta(seconds=2))
    fold_all()
    counted_anew_by_a_worker = (2, 2, 0)
    assert sums(acme) in ((1, 1, 0), counted_anew_by_a_worker), "it waits until all is counted anew"
    count_all()
    rows = db.session.execute(
        select(ROLLUPS.c.grain, ROLLUPS.c.bucket, ROLLUPS.c.runs)
        .join(ROLLUP_KEYS, ROLLUP_KEYS.c.id == ROLLUPS.c.key_id)
        .where(ROLLUP_KEYS.c.organization_id == acme.organization.id, ROLLUP_KEYS.c.cut == Cut.PEOPLE)
    ).all()
    local = asked.astimezone(ZoneInfo(zone))
    midnight = local.replace(hour=0, minute=0)
    assert {(grain, bucket, runs) for grain, bucket, runs in rows} == {
        (Grain.QUARTER, asked.replace(minute=15), 2),
        (Grain.HOUR, local.replace(minute=0), 2),
        (Grain.DAY, midnight, 2),
        (Grain.WEEK, midnight - timedelta(days=midnight.weekday()), 2),
    }
    assert not drift(acme.organization)


def test_runs_count_with_the_tags_that_their_session_has_now(acme: people.Cast) -> None:
    acme.session.tags = ["draft"]
    db.session.commit()
    of_it = {"session_id": acme.session.id, "labels": None}
    begun = now() - timedelta(seconds=9)
    for cost in (5, None):
        paid(acme, cost, created_at=begun, first_token_at=begun + timedelta(seconds=1), **of_it)
    paid(acme, 7, labels={"tags": ["eu"]}, session_id=acme.session.id)
    count_all()
    assert tags_counted(acme) == {("draft",): (2, 5, 1), ("draft", "eu"): (1, 7, 0)}
    late = paid(acme, 9, **of_it)  # waits to be counted as the tags change
    acme.session.tags = ["final"]
    db.session.commit()
    while retag(timedelta()) == 0 and db.session.scalar(select(func.count()).select_from(ROLLUP_RETAGS)):
        db.session.rollback()
    count_all()
    assert tags_counted(acme) == {("final",): (3, 14, 1), ("eu", "final"): (1, 7, 0)}
    assert db.session.scalar(select(Execution.tags).where(Execution.id == late.id)) == ["final"]
    assert not drift(acme.organization)
    acme.session.tags = []
    db.session.commit()
    while retag(timedelta()) == 0 and db.session.scalar(select(func.count()).select_from(ROLLUP_RETAGS)):
        db.session.rollback()
    assert tags_counted(acme) == {("eu",): (1, 7, 0)}
    assert sums(acme) == (4, 21, 1), "no other sum is changed by it"
    assert not drift(acme.organization)
    assert db.session.scalar(select(func.count()).where(*of_tags(acme), ROLLUP_KEYS.c.tags.contains(["final"]))) == 0


def of_tags(cast: people.Cast) -> tuple[ColumnElement[bool], ...]:
    return ROLLUP_KEYS.c.organization_id == cast.organization.id, ROLLUP_KEYS.c.cut == Cut.TAGS


def tags_counted(cast: people.Cast) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """{tags: (runs, cost, unpriced)}"""
    counters = (func.sum(ROLLUPS.c[name]) for name in ("runs", "cost", "unpriced"))
    query = select(ROLLUP_KEYS.c.tags, *counters).join(ROLLUPS, ROLLUPS.c.key_id == ROLLUP_KEYS.c.id)
    query = query.where(*of_tags(cast), ROLLUPS.c.grain == Grain.DAY).group_by(ROLLUP_KEYS.c.tags)
    return {tuple(tags): tuple(map(int, of)) for tags, *of in db.session.execute(query)}


def test_calls_count_where_they_were_made_and_open_into_their_runs(app: Flask, acme: people.Cast) -> None:
    first, second = people.simulated_model(), people.simulated_model("simulated-fast")
    answered = {"model_id": second.id, "provider_id": second.provider_id}
    paid(acme, None, first, further=((first, None, "rate_limit"), (second, None, None)), attempts_made=3, **answered)
    paid(acme, 3, second, **answered)
    paid(acme, None, None, attempts_made=0, state=State.FAILED, error_kind="rate_limit")
    count_all()
    names = ("attempts", "retries", "fallbacks", "rate_limited")
    counters = (func.sum(ROLLUPS.c[name]) for name in names)
    query = select(ROLLUP_KEYS.c.model_id, *counters).join(ROLLUPS, ROLLUPS.c.key_id == ROLLUP_KEYS.c.id)
    query = query.where(ROLLUP_KEYS.c.organization_id == acme.organization.id, ROLLUP_KEYS.c.cut == Cut.MODELS)
    rows = db.session.execute(query.where(ROLLUPS.c.grain == Grain.DAY).group_by(ROLLUP_KEYS.c.model_id))
    assert {row[0]: tuple(map(int, row[1:])) for row in rows} == {
        first.id: (2, 1, 1, 1),
        second.id: (2, 0, 0, 0),
        NIL: (0, 0, 0, 1),  # a limit of ours refused it before any call
    }
    assert not drift(acme.organization)
    over = ranges.preset("7d", ZoneInfo("UTC"), now())
    for met, model, kept in (
        *((met, None, 1) for met in (runs.FALLBACK, runs.RETRY)),
        *((met, first.id, 1) for met in runs.MET),
        *((met, second.id, 0) for met in runs.MET),
        (runs.RATE_LIMIT, None, 2),
        (runs.RATE_LIMIT, NIL, 1),
    ):
        asked = Asked(acme.organization.id, SumsSeen(True, (), acme.mia.id), {"model_id": model} if model else {})
        with app.test_request_context():
            assert runs.counted(Wanted(asked, over.start, over.end, Only(met=met)))[0] == kept, (met, model)


def test_a_zone_that_nobody_knows_is_refused(acme: people.Cast) -> None:
    acme.organization.time_zone = "Mars/Olympus"
    with pytest.raises(DBAPIError, match="not recognized"):
        db.session.commit()
    db.session.rollback()


def test_quarters_and_hours_of_everything_are_kept_for_a_while(acme: people.Cast) -> None:
    for days in (0, 10, 100):
        asked = now() - timedelta(days=days)
        paid(acme, 1, created_at=asked, finished_at=asked + timedelta(seconds=2))
    count_all()
    prune()
    expected = {(cut, grain): 3 for cut in Cut for grain in Grain} | {(cut, Grain.QUARTER): 1 for cut in Cut}
    expected |= {(cut, Grain.HOUR): 2 for cut in Cut if cut is not Cut.MODELS}
    assert {pair: sums(acme, *pair)[0] for pair in expected} == expected
    rebuild(acme.organization)
    assert {pair: sums(acme, *pair)[0] for pair in expected} == expected
    assert not drift(acme.organization)


def test_a_time_is_told_within_two_percent(context: None) -> None:
    dice = random.Random(7)
    for milliseconds in [1.0, 2.0, 1000.0, *(10 ** dice.uniform(0, 7) for _ in range(300))]:
        seconds = f"make_interval(secs => {milliseconds / 1000!r})"
        packed = db.session.scalar(text(f"SELECT {histogram.bin_sql(seconds)}"))
        told = histogram.seconds_of(packed >> histogram.PACKED)
        assert abs(told - milliseconds / 1000) <= 0.02 * milliseconds / 1000, milliseconds
