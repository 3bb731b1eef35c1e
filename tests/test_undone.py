"""What is not in a project goes to the trash too: limits, rules, webhooks, views and notes of the dashboard, and checks
of batches. Who, when, and back again; what purges it, and who may."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from dataelan_web import quota
from dataelan_web.executions import purge
from dataelan_web.extensions import db
from dataelan_web.models import (
    IN_TRASH,
    NANO,
    Annotation,
    AuditEvent,
    Base,
    Batch,
    BatchCell,
    BatchCheck,
    BatchScore,
    BatchState,
    Budget,
    BudgetPeriod,
    Delivery,
    DeliveryState,
    Happening,
    RateLimit,
    RoutingRule,
    SavedView,
    Scope,
    TemplateCase,
    Unit,
    Webhook,
    Window,
    new_id,
    now,
)
from dataelan_web.models.batches import weigh
from dataelan_web.notify import webhooks
from dataelan_web.notify.tell import tell

from . import people, used
from .conftest import wait_until
from .test_operators_limits import ops, sue  # noqa: F401

Undone = tuple[Any, str, str, str]
"""A row, its kind, where it is deleted, and what the trash calls it."""


def a_limit(cast: people.Cast) -> Undone:
    row = used.limit(cast, Scope.PROJECT, cast.project.id)
    return row, "limit", f"/limits/{row.id}/deletion", f"Project {cast.project.name}: $50.00 per month"


def a_rate(cast: people.Cast) -> Undone:
    row = used.rate(cast.organization.id, Scope.PROJECT, cast.project.id, requests_per_minute=9, parallel=2)
    title = f"Project {cast.project.name}: 9 requests a minute, 2 at once"
    return row, "rate", f"/limits/rates/{row.id}/deletion", title


def a_rule(cast: people.Cast) -> Undone:
    row = RoutingRule(id=new_id(), organization_id=cast.organization.id, name="Ocelots first")
    return row, "rule", f"/hub/rules/{row.id}/deletion", row.name


def a_webhook(cast: people.Cast) -> Undone:
    row, _ = webhooks.create(cast.organization, cast.olivia.id, "Ops of ocelots", "http://127.0.0.1:9/hook", [])
    return row, "webhook", f"/webhooks/{row.id}/deletion", row.label


def a_view(cast: people.Cast) -> Undone:
    row = SavedView(id=new_id(), organization_id=cast.organization.id, user_id=cast.olivia.id, name="Ocelots by month")
    row.page, row.address = "spend", {"range": "month"}
    return row, "view", f"/dashboard/views/{row.id}/deletion", row.name


def a_note(cast: people.Cast) -> Undone:
    row = Annotation(id=new_id(), organization_id=cast.organization.id, user_id=cast.olivia.id, at=now())
    row.kind, row.text = Happening.DEPLOY, "Ocelots were let out"
    return row, "note", f"/dashboard/notes/{row.id}/deletion", row.text


def a_check(cast: people.Cast) -> Undone:
    batch = people.batch(cast, people.ended(cast, "Say hello", "Hello"))
    (check,) = batch.checks
    return check, "check", f"/batches/{batch.id}/checks/{check.id}/deletion", "Contains: hello"


MAKERS = (a_limit, a_rate, a_rule, a_webhook, a_view, a_note, a_check)
BY_ADMINS = (a_limit, a_rate, a_rule, a_webhook)


def made(maker: Callable[[people.Cast], Undone], cast: people.Cast) -> Undone:
    """Commits."""
    row, *rest = maker(cast)
    db.session.add(row)
    db.session.commit()
    return row, *rest


def trash(app: Flask, cast: people.Cast, who: str = "olivia") -> str:
    return people.browser(app, cast.people[who]).get(f"{cast.home}/trash").get_data(as_text=True)


def of(row: Base) -> dict[str, dict[str, Any]]:
    """What the audit log says of it: {action: detail}."""
    lines = select(AuditEvent.action, AuditEvent.detail).where(AuditEvent.subject_id == row.id)
    return dict(db.session.execute(lines).all())


def over(row: Any) -> None:
    """As if it had been in the trash for 30 days."""
    row.deleted_at = now() - IN_TRASH - timedelta(minutes=1)
    db.session.commit()


@pytest.mark.parametrize("maker", MAKERS)
def test_it_is_in_the_trash_with_who_and_when_and_comes_back(
    app: Flask, acme: people.Cast, maker: Callable[[people.Cast], Undone]
) -> None:
    row, kind, deletion, title = made(maker, acme)
    olivia, undo = people.browser(app, acme.olivia), f"{acme.home}/trash/{kind}/{row.id}/restoration"
    answer = olivia.submit(f"{acme.home}{deletion}")
    assert answer.status_code < 300
    shown = answer.get_data(as_text=True) or olivia.get(answer.headers["HX-Redirect"]).get_data(as_text=True)
    assert undo in shown, "an Undo at once"
    db.session.refresh(row)
    assert (row.deleted_by, row.deleted_at > now() - timedelta(minutes=1)) == (acme.olivia.id, True)
    assert title in trash(app, acme)
    assert "by Olivia" in trash(app, acme)
    assert olivia.submit(undo).status_code == 200
    db.session.refresh(row)
    assert (row.deleted_at, row.deleted_by) == (None, None)
    assert title not in trash(app, acme)
    assert of(row)[f"{kind}.restored"] == ({"on": title} if kind in ("limit", "rate") else {})


@pytest.mark.parametrize("maker", MAKERS)
def test_after_30_days_it_goes_for_good_and_for_an_admin_at_once(
    app: Flask, acme: people.Cast, maker: Callable[[people.Cast], Undone]
) -> None:
    row, kind, deletion, title = made(maker, acme)
    model, id = type(row), row.id
    people.browser(app, acme.olivia).submit(f"{acme.home}{deletion}")
    purge.purge()
    db.session.expire_all()
    assert db.session.get(model, id) is not None, "its time is not over"
    assert people.browser(app, acme.olivia).submit(f"{acme.home}/trash/{kind}/{id}/erasure").status_code == 200
    assert title not in trash(app, acme)

    def is_gone() -> bool:
        """By us, or by a worker, which may be quicker."""
        purge.purge()
        db.session.rollback()
        return db.session.get(model, id) is None

    wait_until(is_gone)


@pytest.mark.parametrize("maker", BY_ADMINS)
def test_what_admins_look_after_is_theirs_to_bring_back(
    app: Flask, acme: people.Cast, maker: Callable[[people.Cast], Undone]
) -> None:
    row, kind, deletion, title = made(maker, acme)
    people.browser(app, acme.olivia).submit(f"{acme.home}{deletion}")
    assert title not in trash(app, acme, "mia"), "members are not shown what they cannot bring back"
    undo = f"{acme.home}/trash/{kind}/{row.id}/restoration"
    assert people.browser(app, acme.mia).submit(undo).status_code == 403
    assert people.browser(app, acme.gina).submit(undo).status_code in (403, 404)
    assert people.browser(app, acme.adam).submit(undo).status_code == 200


def test_the_page_of_what_is_in_the_trash_says_so_to_who_may_bring_it_back(app: Flask, acme: people.Cast) -> None:
    template = people.template(acme, "Hello {{name}}")
    case = TemplateCase(id=new_id(), template_id=template.id, name="Ada", created_by=acme.mia.id)
    budget, rule = used.limit(acme, Scope.PROJECT, acme.project.id), made(a_rule, acme)[0]
    hook, note = made(a_webhook, acme)[0], made(a_note, acme)[0]
    db.session.add(case)
    for row in (case, budget, rule, hook, note):
        row.discard(acme.olivia.id)
    db.session.commit()
    pages = {
        f"/prompts/{template.id}/cases/{case.id}": "saved case",
        f"/limits/{budget.id}": "limit",
        f"/hub/rules/{rule.id}": "routing rule",
        f"/webhooks/{hook.id}": "webhook",
        f"/dashboard/notes/{note.id}": "note",
    }
    for path, noun in pages.items():
        gone = people.browser(app, acme.olivia).get(f"{acme.home}{path}")
        assert gone.status_code == 410, path
        assert f"Restore the {noun}" in gone.get_data(as_text=True)
        assert people.browser(app, acme.victor).get(f"{acme.home}{path}").status_code in (403, 404), path
    assert people.browser(app, acme.mia).get(f"{acme.home}/limits/{budget.id}").status_code == 404


def test_a_limit_is_nowhere_while_it_is_in_the_trash(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.ORGANIZATION, acme.organization.id, 77 * NANO)
    asked = used.asked(acme, budget, acme.mia)
    olivia = people.browser(app, acme.olivia)
    places = ("/limits", "/", "/dashboard/quota", "/dashboard")
    before = {path: olivia.get(f"{acme.home}{path}").get_data(as_text=True) for path in places}
    assert "77" in before["/limits"]
    olivia.submit(f"{acme.home}/limits/{budget.id}/deletion")
    olivia.get(f"{acme.home}/limits")  # the toast
    for path in places:
        text = olivia.get(f"{acme.home}{path}").get_data(as_text=True)
        assert f"/limits/{budget.id}" not in text, path
    assert f"/increases/{asked.id}/approval" not in olivia.get(f"{acme.home}/limits").get_data(as_text=True)
    approval = {"amount": "5", "until": f"{now() + timedelta(days=3):%Y-%m-%d}"}
    assert olivia.submit(f"{acme.home}/increases/{asked.id}/approval", approval).status_code == 410


def test_where_another_has_taken_its_place_it_says_so(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id)
    rate = used.rate(acme.organization.id, Scope.PROJECT, acme.project.id, parallel=2)
    quota.delete_limit(db.session, budget, acme.olivia.id)
    quota.delete_rate(db.session, rate, acme.olivia.id)
    db.session.commit()
    used.limit(acme, Scope.PROJECT, acme.project.id, 9 * NANO)
    used.rate(acme.organization.id, Scope.PROJECT, acme.project.id, parallel=3)
    for kind, id in (("limit", budget.id), ("rate", rate.id)):
        answer = people.browser(app, acme.olivia).submit(f"{acme.home}/trash/{kind}/{id}/restoration")
        assert answer.status_code == 409
        assert "Delete that one first" in answer.get_data(as_text=True)
    for table, id in ((Budget, budget.id), (RateLimit, rate.id)):
        assert db.session.get_one(table, id, populate_existing=True).deleted_at is not None


def test_a_purged_limit_takes_its_windows_along_and_leaves_the_ledger(app: Flask, acme: people.Cast) -> None:
    budget = used.limit(acme, Scope.PROJECT, acme.project.id)
    used.charge(acme, 3 * NANO, acme.mia)
    quota.delete_limit(db.session, budget, acme.olivia.id)
    over(budget)
    id = budget.id
    purge.purge()
    db.session.expire_all()
    assert db.session.scalars(select(BudgetPeriod).where(BudgetPeriod.budget_id == id)).all() == []
    assert used.limit(acme, Scope.PROJECT, acme.project.id).id != id


def test_a_webhook_in_the_trash_is_told_nothing(app: Flask, acme: people.Cast) -> None:
    hook = made(a_webhook, acme)[0]

    def say(key: str) -> None:
        tell(db.session, acme.organization.id, [acme.mia.id], key, "limit.reached", "Reached", "", "/")
        db.session.commit()

    def told() -> list[tuple[str, DeliveryState]]:
        rows = select(Delivery.key, Delivery.state).where(Delivery.webhook_id == hook.id).order_by(Delivery.id)
        return [tuple(row) for row in db.session.execute(rows)]

    say("one")
    people.browser(app, acme.olivia).submit(f"{acme.home}/webhooks/{hook.id}/deletion")
    say("two")
    assert told() == [("one", DeliveryState.FAILED)], "what waited is not sent"
    assert db.session.scalars(select(Delivery.error).where(Delivery.webhook_id == hook.id)).one() == webhooks.DELETED
    people.browser(app, acme.olivia).submit(f"{acme.home}/trash/webhook/{hook.id}/restoration")
    say("three")
    assert told()[1:] == [("three", DeliveryState.WAITING)]
    db.session.expire_all()
    assert webhooks.secrets_of(db.session.get_one(Webhook, hook.id)), "with the secret that it had"


def test_a_view_comes_back_beside_one_of_its_name_and_opens_nothing_first(app: Flask, acme: people.Cast) -> None:
    view = made(a_view, acme)[0]
    view.is_shared = view.is_default = True
    db.session.commit()
    olivia, undo = people.browser(app, acme.olivia), f"{acme.home}/trash/view/{view.id}/restoration"
    assert olivia.get(f"{acme.home}/dashboard").status_code == 303
    olivia.submit(f"{acme.home}/dashboard/views/{view.id}/deletion")
    assert olivia.get(f"{acme.home}/dashboard").status_code == 200
    assert people.browser(app, acme.mia).submit(undo).status_code == 404, "everyone’s are for admins"
    other = made(a_view, acme)[0]
    other.name, other.is_shared = view.name.upper(), True
    db.session.commit()
    olivia.submit(undo)
    db.session.refresh(view)
    assert (view.name, view.is_shared, view.is_default) == ("Ocelots by month (2)", True, False)


@pytest.mark.parametrize("who", ["victor", "gina"])
def test_ones_own_view_needs_no_right_to_be_undone(app: Flask, acme: people.Cast, who: str) -> None:
    view = made(a_view, acme)[0]
    view.user_id = acme.people[who].id
    db.session.commit()
    theirs, undo = people.browser(app, acme.people[who]), f"{acme.home}/trash/view/{view.id}/restoration"
    assert undo in theirs.submit(f"{acme.home}/dashboard/views/{view.id}/deletion").get_data(as_text=True)
    assert people.browser(app, acme.olivia).submit(undo).status_code == 404, "it is nobody else’s"
    back = theirs.post(undo, data={"csrf_token": theirs.csrf()})
    assert (back.status_code, back.location) == (303, f"{acme.home}/dashboard/views")
    db.session.refresh(view)
    assert view.deleted_at is None


def test_a_check_in_the_trash_counts_for_nothing_and_its_scores_come_back(app: Flask, acme: people.Cast) -> None:
    check, _, deletion, _ = made(a_check, acme)
    batch = db.session.get_one(Batch, check.batch_id)
    cell = db.session.scalars(select(BatchCell).where(BatchCell.batch_id == batch.id)).one()
    by_check = {"batch_id": batch.id, "cell_id": cell.id, "reason": "", "problem": ""}
    db.session.add(BatchScore(**by_check, check_id=check.id, value=0.0))
    db.session.add(BatchScore(**by_check, user_id=acme.mia.id, value=1.0))
    db.session.flush()
    weigh(db.session, [cell.id])
    db.session.commit()
    mia, page = people.browser(app, acme.mia), f"{acme.home}/batches/{batch.id}"

    def stands() -> tuple[float | None, bool | None]:
        db.session.refresh(cell)
        return cell.score, cell.passed

    assert stands() == (0.5, False)
    assert "Remove this check" in mia.get(page).get_data(as_text=True)
    mia.submit(f"{acme.home}{deletion}")
    assert stands() == (1.0, True)
    mia.get(page)  # the toast
    assert "Remove this check" not in mia.get(page).get_data(as_text=True)
    assert "hello" not in mia.get(f"{page}/results.csv").get_data(as_text=True).partition("\n")[0].lower()
    ended_before = batch.finished_at
    mia.submit(f"{acme.home}/trash/check/{check.id}/restoration")
    assert stands() == (0.5, False)
    db.session.refresh(batch)
    is_done_again = batch.finished_at != ended_before  # by a worker, which may be quicker
    assert batch.state is BatchState.RUNNING or is_done_again, "what was answered meanwhile is scored"
    assert db.session.get_one(BatchCheck, check.id).batch_id == batch.id


def test_a_batch_takes_its_checks_along(app: Flask, acme: people.Cast) -> None:
    check, *_ = made(a_check, acme)
    check.discard(acme.mia.id)
    db.session.commit()
    assert "Contains: hello" in trash(app, acme, "mia")
    people.browser(app, acme.mia).submit(f"{acme.home}/batches/{check.batch_id}/deletion")
    assert "Contains: hello" not in trash(app, acme, "mia")
    undo = f"{acme.home}/trash/check/{check.id}/restoration"
    assert people.browser(app, acme.mia).submit(undo).status_code == 404


# -- the operator's --------------------------------------------------------------------------------


def test_the_operators_limits_and_rules_have_a_trash_of_their_own(
    app: Flask,
    acme: people.Cast,
    sue: people.Browser,  # noqa: F811
) -> None:
    home = acme.organization.id
    budget = quota.set_limit(db.session, None, Scope.ORGANIZATION, home, Window.DAY, 10**9, Unit.TOKENS)
    rule = RoutingRule(id=new_id(), name=f"shared-{uuid.uuid4().hex}", is_enabled=False)
    db.session.add(rule)
    db.session.commit()
    assert sue.submit(f"/admin/limits/{budget.id}/deletion").headers["HX-Redirect"] == "/admin/limits"
    assert f"/admin/trash/limit/{budget.id}/restoration" in sue.get("/admin/limits").get_data(as_text=True)
    sue.submit(f"/admin/hub/rules/{rule.id}/deletion")
    shown = sue.get("/admin/trash").get_data(as_text=True)
    assert "1,000,000,000 tokens per day" in shown
    assert rule.name in shown
    assert "by Sue" in shown
    assert "Webhooks" not in shown
    for who in ("olivia", "mia"):
        assert "1,000,000,000 tokens per day" not in trash(app, acme, who), "it is the operator’s"
    undo = f"trash/limit/{budget.id}/restoration"
    assert people.browser(app, acme.olivia).submit(f"{acme.home}/{undo}").status_code == 404
    assert people.browser(app, acme.olivia).get(f"{acme.home}/limits/{budget.id}").status_code == 404
    assert sue.get(f"/admin/limits/{budget.id}").status_code == 410
    assert sue.submit(f"/admin/{undo}").status_code == 200
    assert sue.submit(f"/admin/trash/rule/{rule.id}/erasure").status_code == 200
    assert sue.submit(f"/admin/trash/session/{new_id()}/restoration").status_code == 404
    db.session.refresh(budget)
    assert budget.deleted_at is None


# -- what is final ---------------------------------------------------------------------------------

ENDS = re.compile(
    r"\.(\w*_)?(delet|remov|revok|drop|forget|releas|leave|let_out|untag|end_|ending|erase|logout|turn_off)"
)
BACK = {"account.delete": 30, "organizations.delete": 30, "prompts.drop_draft": 30} | dict.fromkeys(
    ("hub.delete_provider", "hub.model_deletion")
)
"""They have a way back of their own, for so many days; an archive, without an end."""


def test_every_delete_is_undone_or_says_why_not(app: Flask) -> None:
    """Whoever adds one puts it into the trash (its endpoint here), or says in docs/trash.md why it is final."""
    said = (Path(__file__).parent.parent / "docs" / "trash.md").read_text()
    final = set(re.findall(r"`(\w+\.\w+)`", said.partition("## Deleted for good")[2].partition("\n## ")[0]))
    there = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    deletes = {endpoint for endpoint in there if ENDS.search(endpoint)}
    assert deletes - final - set(BACK) == UNDONE
    assert not final - there
    assert not final & UNDONE


UNDONE = set(
    """
    actions.delete admin_hub.rule_deletion admin_limits.delete admin_limits.delete_rate batches.delete
    batches.remove_check dashboards.delete_note dashboards.delete_view hub.rule_deletion limits.delete
    limits.delete_rate notices.webhook_deletion playground.delete_asset playground.delete_comparison
    playground.delete_run playground.delete_session projects.delete prompts.delete prompts.delete_case
    sharing.delete_comment
    """.split()
)
