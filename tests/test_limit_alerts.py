"""The alerts of limits: who is told what, and when; once, whoever looks."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask
from sqlalchemy import delete, select, text, update

from dataelan_web.extensions import db
from dataelan_web.models import (
    NANO,
    Answer,
    Budget,
    BudgetPeriod,
    Collaborator,
    Delivery,
    Execution,
    ExecutionBody,
    GatewayToken,
    Increase,
    Membership,
    Notice,
    Origin,
    ProjectRole,
    Role,
    Scope,
    State,
    Unit,
    User,
    Webhook,
    Window,
    new_id,
    now,
)
from dataelan_web.models.base import NIL
from dataelan_web.notify import limits, webhooks
from dataelan_web.quota import window_of

from . import people
from .conftest import wait_until
from .receiver import receiver


def limit(
    cast: people.Cast,
    scope: Scope = Scope.PROJECT,
    subject_id: uuid.UUID | None = None,
    *,
    limit: int = 50 * NANO,
    spent: int = 0,
    window: Window = Window.MONTH,
    **values: Any,
) -> BudgetPeriod:
    """The current window of a new limit."""
    values = {"organization_id": cast.organization.id, **values}
    budget = Budget(
        id=new_id(), scope=scope, subject_id=subject_id or cast.project.id, window=window, limit=limit, **values
    )
    start, end = window_of(window, now(), ZoneInfo(cast.organization.time_zone))
    period = BudgetPeriod(id=new_id(), budget=budget, starts_at=start, ends_at=end, spent=spent)
    db.session.add_all([budget, period])
    db.session.commit()
    return period


def spend(period: BudgetPeriod, usd: float) -> None:
    db.session.execute(update(BudgetPeriod).where(BudgetPeriod.id == period.id).values(spent=int(usd * NANO)))
    db.session.commit()


def told(cast: people.Cast) -> list[Notice]:
    """What the organization's people were told, after everybody has looked."""
    limits.alert(db.session)
    db.session.rollback()
    mine = select(Notice).where(Notice.organization_id == cast.organization.id).order_by(Notice.id)
    return list(db.session.scalars(mine.execution_options(populate_existing=True)))


def names(cast: people.Cast, notices: Sequence[Notice]) -> set[str]:
    ids = {user.id: name for name, user in cast.people.items()}
    return {ids[notice.user_id] for notice in notices}


def test_a_limit_tells_at_each_percentage_once(acme: people.Cast) -> None:
    acme.project.name = "Alpha"
    period = limit(acme, spent=24 * NANO)
    assert told(acme) == []
    spend(period, 25)
    first = told(acme)
    month = f"{now():%B}"
    assert {notice.title for notice in first} == {f"Project Alpha has used 50 % of its $50.00 for {month}"}
    assert first[0].kind == "limit.reached"
    assert first[0].path == f"{acme.home}/limits/{period.budget_id}"
    assert "$25.00 used, $25.00 left. A prompt that may cost more" in first[0].body
    assert told(acme) == first, "once"
    spend(period, 40.5)
    assert told(acme)[-1].title == f"Project Alpha has used 81 % of its $50.00 for {month}"
    spend(period, 50)
    last = told(acme)[-1]
    assert last.title == f"Project Alpha has reached its limit of $50.00 for {month}"
    assert "Prompts are refused until it is raised or begins anew. It begins anew on 1 " in last.body
    assert len(told(acme)) == 3 * len(first)


def test_whoever_passes_several_percentages_at_once_is_told_of_the_highest(acme: people.Cast) -> None:
    period = limit(acme, spent=45 * NANO)
    titles = {notice.title for notice in told(acme)}
    assert len(titles) == 1
    assert " 90 % " in titles.pop()
    db.session.refresh(period)
    assert period.alerted == 80
    spend(period, 26)
    assert len({notice.title for notice in told(acme)}) == 1, "what was passed is not told backwards"


def test_what_is_held_is_not_spent(acme: people.Cast) -> None:
    limit(acme, spent=1 * NANO).reserved = 49 * NANO
    db.session.commit()
    assert told(acme) == []


def test_an_increase_in_force_counts_until_it_ends(acme: people.Cast) -> None:
    period = limit(acme, limit=10 * NANO, alerts=[80])
    increase = Increase(organization_id=acme.organization.id, budget_id=period.budget_id, asked=10 * NANO)
    increase.answer, increase.granted, increase.expires_at = Answer.APPROVED, 10 * NANO, now() + timedelta(days=1)
    declined = Increase(organization_id=acme.organization.id, budget_id=period.budget_id, asked=10 * NANO)
    declined.answer, declined.expires_at = Answer.DECLINED, now() + timedelta(days=1)
    db.session.add_all([increase, declined])
    db.session.commit()
    spend(period, 8)
    assert told(acme) == []
    spend(period, 16)
    assert " 80 % of its $20.00 " in told(acme)[0].title
    increase.expires_at = now() - timedelta(seconds=1)
    db.session.commit()
    assert len({notice.title for notice in told(acme)}) == 1, "160 % of the bare limit is past 80, which was told"


def test_a_raised_limit_is_told_again_in_a_later_window_only(acme: people.Cast) -> None:
    period = limit(acme, spent=40 * NANO, alerts=[80])
    assert len({notice.title for notice in told(acme)}) == 1
    period.budget.limit = 100 * NANO
    db.session.commit()
    spend(period, 85)
    assert len({notice.title for notice in told(acme)}) == 1
    period.ends_at = now() - timedelta(seconds=1)
    after = BudgetPeriod(budget_id=period.budget_id, starts_at=period.ends_at, ends_at=now() + timedelta(days=9))
    after.spent = 85 * NANO
    db.session.add(after)
    db.session.commit()
    assert len({notice.key for notice in told(acme)}) == 2


def test_a_window_that_is_over_tells_nothing(acme: people.Cast) -> None:
    period = limit(acme)
    period.starts_at, period.ends_at = now() - timedelta(days=60), now() - timedelta(days=30)
    period.spent = 50 * NANO
    db.session.commit()
    assert told(acme) == []


def test_tokens_requests_totals_and_limits_without_alerts(acme: people.Cast) -> None:
    start = window_of(Window.TOTAL, now(), ZoneInfo("UTC"))[0]
    assert start == datetime(1970, 1, 1, tzinfo=UTC)
    limit(acme, unit=Unit.TOKENS, limit=2_000_000, spent=1_600_000, window=Window.TOTAL, is_hard=False)
    limit(acme, unit=Unit.REQUESTS, limit=1, spent=2, window=Window.DAY, alerts=[100, 150])
    limit(acme, unit=Unit.REQUESTS, limit=10, spent=10, window=Window.WEEK, alerts=[])
    limit(acme, unit=Unit.REQUESTS, limit=0, spent=1, window=Window.MONTH, is_hard=False)
    found = {notice.title.partition(" has ")[2]: notice.body for notice in told(acme)}
    assert found.keys() == {
        "used 80 % of its 2,000,000 tokens in all",
        f"used 200 % of its 1 request for {now():%-d %B}",
        f"reached its limit of 0 requests for {now():%B}",
    }
    assert "Nothing is refused: this limit only counts, and tells." in found["used 80 % of its 2,000,000 tokens in all"]


def test_a_hard_limit_that_refuses_is_reached_though_not_all_is_spent(acme: people.Cast) -> None:
    refusing, new, soft = (
        limit(acme, spent=45 * NANO, alerts=[100]),
        limit(acme, spent=5 * NANO, alerts=[100], window=Window.DAY),
        limit(acme, spent=45 * NANO, alerts=[100], window=Window.WEEK, is_hard=False),
    )
    assert told(acme) == []
    for period in (refusing, new, soft):
        db.session.add(refused(acme, period.budget_id))
    db.session.commit()
    notices = told(acme)
    assert {notice.path.rpartition("/")[2] for notice in notices} == {str(refusing.budget_id)}
    assert "has reached its limit of $50.00" in notices[0].title
    assert told(acme) == notices


def refused(cast: people.Cast, budget_id: uuid.UUID) -> Execution:
    return Execution(
        organization_id=cast.organization.id,
        project_id=cast.project.id,
        user_id=cast.mia.id,
        origin=Origin.GATEWAY,
        requested="auto",
        state=State.FAILED,
        refused_by=budget_id,
        body=ExecutionBody(request={}),
    )


def test_those_are_told_whom_it_concerns(acme: people.Cast) -> None:
    acme.project.created_by = acme.mia.id
    reader = people.user("rex")
    db.session.flush()
    db.session.add(Collaborator(project_id=acme.project.id, user_id=reader.id, role=ProjectRole.VIEWER))
    token, _ = GatewayToken.issue(acme.project, acme.mia.id, "Nightly")
    gone, _ = GatewayToken.issue(acme.project, acme.ned.id, "Made by somebody who left")
    db.session.add_all([token, gone])
    key = people.own_provider(acme, "http://127.0.0.1:9/v1")
    owners = {"olivia", "adam"}
    for scope, subject_id, expected in (
        (Scope.ORGANIZATION, acme.organization.id, owners),
        (Scope.PROJECT, acme.project.id, owners | {"mia", "gina"}),
        (Scope.MEMBER, acme.victor.id, owners | {"victor"}),
        (Scope.TOKEN, token.id, owners | {"mia"}),
        (Scope.TOKEN, gone.id, owners),
        (Scope.KEY, key.id, owners),
        (Scope.PROVIDER, key.provider_id, owners),
        (Scope.MODEL, uuid.uuid4(), owners),
    ):
        period = limit(acme, scope, subject_id, spent=50 * NANO)
        mine = [notice for notice in told(acme) if str(period.budget_id) in notice.path]
        assert names(acme, mine) == expected, scope
    assert {notice.title.partition(" has ")[0] for notice in told(acme)} == {
        "Acme",
        "Project Acme project",
        "Victor",
        "Gateway token “Nightly”",
        "Gateway token “Made by somebody who left”",
        "Key “Test key”",
        "Provider Own",
        "Model deleted since",
    }


def test_the_operators_limits_are_told_to_superusers_and_to_who_runs_the_organization(
    acme: people.Cast, rival: people.Cast
) -> None:
    operator = User(id=new_id(), email=f"{uuid.uuid4().hex}@example.com", name="Opal", password_hash="-")
    operator.is_superuser = True
    home = people.cast("Operations")
    db.session.add(operator)
    db.session.flush()
    db.session.add(Membership(organization=home.organization, user=operator, role=Role.MEMBER))
    home.organization.time_zone, acme.organization.time_zone = "America/Lima", "Asia/Kathmandu"
    platform = limit(home, Scope.PLATFORM, NIL, organization_id=None, spent=50 * NANO, window=Window.WEEK)
    one = limit(home, Scope.ORGANIZATION, acme.organization.id, organization_id=None, spent=50 * NANO)
    try:
        assert told(rival) == []
        assert {(n.user_id, n.path, n.title.partition(" has ")[0]) for n in told(home)} == {
            (operator.id, f"/admin/limits/{platform.budget_id}", "The platform"),
            (operator.id, f"/admin/limits/{one.budget_id}", "Acme"),
        }
        assert {(n.user_id, n.path) for n in told(acme)} == {
            (person.id, f"{acme.home}/limits/{one.budget_id}") for person in (acme.olivia, acme.adam)
        }
        zones = {f"/{platform.budget_id}": "(UTC)", f"/{one.budget_id}": "(Asia/Kathmandu)"}
        for notice in (*told(home), *told(acme)):
            assert next(zone for id, zone in zones.items() if notice.path.endswith(id)) in notice.body
    finally:
        operator.is_superuser = False  # who is one hears of everybody's
        db.session.execute(delete(Budget).where(Budget.id.in_([platform.budget_id, one.budget_id])))
        db.session.commit()


def test_two_workers_at_once_tell_once(app: Flask, acme: people.Cast) -> None:
    webhook = Webhook(organization_id=acme.organization.id, label="Ops", url="https://x.invalid", ciphertext="-")
    webhook.events = ["limit.reached"]
    db.session.add(webhook)
    for percent, window in ((60, Window.DAY), (90, Window.WEEK), (100, Window.MONTH)):
        limit(acme, limit=100 * NANO, spent=percent * NANO, window=window)
    ready = threading.Barrier(6)

    def look() -> None:
        with app.app_context():
            ready.wait()
            limits.alert(db.session)

    workers = [threading.Thread(target=look) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    notices = told(acme)
    assert len(notices) == len({(notice.user_id, notice.key) for notice in notices}) == 3 * 3
    deliveries = db.session.scalars(select(Delivery).where(Delivery.webhook_id == webhook.id)).all()
    assert sorted(delivery.payload["data"]["reached_percent"] for delivery in deliveries) == [50, 80, 100]
    assert deliveries[0].payload["data"]["unit"] == "usd"


def test_a_worker_looks_tells_and_sends_by_itself(acme: people.Cast, worker: object) -> None:
    with receiver() as there:
        _, secret = webhooks.create(acme.organization, None, "Ops", there.url, [])
        period = limit(acme, spent=40 * NANO)
        wait_until(lambda: there.got, 40)
        assert there.got[0].verified(secret)["data"]["budget_id"] == str(period.budget_id)
    db.session.rollback()
    heard = db.session.scalars(select(Notice).where(Notice.organization_id == acme.organization.id)).all()
    assert names(acme, heard) == {"olivia", "adam", "gina"}


def test_one_that_cannot_be_told_does_not_keep_the_others_waiting(acme: people.Cast, rival: people.Cast) -> None:
    broken, fine = limit(rival), limit(acme)
    theirs = f"organization_id <> '{rival.organization.id}'"
    db.session.execute(text(f"ALTER TABLE notices ADD CONSTRAINT none_of_theirs CHECK ({theirs}) NOT VALID"))
    db.session.commit()
    for period in (broken, fine):
        spend(period, 50)
    assert told(acme)
    assert told(rival) == []
    db.session.execute(text("ALTER TABLE notices DROP CONSTRAINT none_of_theirs"))
    db.session.commit()
    assert told(rival), "and is told when it can be"
