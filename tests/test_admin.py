"""What superusers do: look after the queue, people and organizations; act as somebody; close Dataelan for a while."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select, update

from dataelan_web import modes
from dataelan_web.accounts import impersonating, two_factor
from dataelan_web.admin import homes, work
from dataelan_web.admin import people as people_of_all
from dataelan_web.extensions import db
from dataelan_web.jobs import queue
from dataelan_web.models import (
    AuditEvent,
    Delivery,
    DeliveryState,
    Execution,
    ExportState,
    Mode,
    Notice,
    PlatformMode,
    RunExport,
    SignIn,
    State,
    User,
    new_id,
    now,
)

from . import people
from .test_rollups import count_all, paid

PASSWORD = "correct horse battery"


@pytest.fixture
def sue(app: Flask, context: None) -> people.Browser:
    """A superuser’s browser; her password is PASSWORD."""
    made = people.user("sue")
    made.is_superuser = True
    made.set_password(PASSWORD)
    db.session.commit()
    client = people.browser(app, made)
    client.person = made  # type: ignore[attr-defined]
    return client  # type: ignore[return-value]


@pytest.fixture
def reopened(context: None) -> Iterator[None]:
    """Other tests share this Dataelan: whatever happens, it is open again."""
    yield
    db.session.rollback()
    db.session.execute(update(PlatformMode).values(mode=Mode.OPEN, words=""))
    db.session.commit()


def begin(sue: people.Browser, whom: User, **form: str) -> int:
    said = {"reason": "You asked us to look at your batch.", "current": PASSWORD, **form}
    return sue.submit(f"/admin/people/{whom.id}/acting", said).status_code


def log_of(user: User) -> list[AuditEvent]:
    return list(db.session.scalars(select(AuditEvent).where(AuditEvent.actor_id == user.id).order_by(AuditEvent.id)))


def test_where_the_operator_says_so_superusers_are_such_by_two_factors_alone(
    app: Flask, acme: people.Cast, sue: people.Browser, reopened: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.extensions["dataelan_settings"]
    assert sue.get("/account/needed").status_code == 200, "who asks is told what it would be"
    monkeypatch.setitem(app.extensions, "dataelan_settings", replace(settings, superusers_need_two_factors=True))
    for path in ("/admin/", "/admin/people", f"/admin/people/{acme.mia.id}"):
        led = sue.get(path)
        assert (led.status_code, led.location) == (303, "/account/needed"), path
    said = sue.get("/account/needed").get_data(as_text=True)
    assert "One more step for the administration" in said
    assert "Everyone there signs in by a passkey, or by a code" in said
    assert 'href="/admin/"' in sue.get("/account").get_data(as_text=True), "the way there says what is missing"
    assert begin(sue, acme.mia) == 204
    assert sue.get(f"{acme.home}/").status_code == 404, "nobody’s form was taken"
    modes.row().mode = Mode.MAINTENANCE
    db.session.commit()
    assert sue.get("/account").status_code == 503, "as everybody else"
    modes.row().mode = Mode.OPEN
    db.session.execute(update(SignIn).where(SignIn.user_id == sue.person.id).values(is_two_factor=True))  # type: ignore[attr-defined]
    db.session.commit()
    assert sue.get("/admin/queue").status_code == 200
    assert "You are ready for the administration" in sue.get("/account/needed").get_data(as_text=True)
    for nobody in (acme.olivia, None):
        client = people.browser(app, nobody)
        assert client.get("/account/needed").status_code == (404 if nobody else 303)
        assert client.get("/admin/").status_code == (404 if nobody else 303)


# -- queue and workers -----------------------------------------------------------------------------


def test_the_queue_says_what_runs_waits_and_failed_and_nothing_of_what_was_asked(
    app: Flask, acme: people.Cast, sue: people.Browser
) -> None:
    people.ended(acme, "the secret plan", state=State.RUNNING, finished_at=None, started_at=now())
    people.ended(acme, "the secret plan", state=State.FAILED, error_kind="rate_limit", requested="broken-model")
    with app.app_context():
        queue.beat("worker-of-this-test")
    page = sue.get("/admin/queue").get_data(as_text=True)
    assert "worker-of-this-test" in page
    assert "Acme project" in page
    assert "broken-model" in page
    assert "rate limit" in page
    assert "the secret plan" not in page
    queue.leave("worker-of-this-test")


def test_runs_exports_and_messages_are_cancelled_and_tried_again(
    app: Flask, acme: people.Cast, sue: people.Browser
) -> None:
    waits = people.ended(acme, "Hello", state=State.QUEUED, finished_at=None)
    values = {"organization_id": acme.organization.id, "user_id": acme.mia.id, "form": "csv", "address": {}}
    failed = RunExport(id=new_id(), **values, wanted={}, expected=1, state=ExportState.FAILED, ended_at=now())
    fresh = RunExport(id=new_id(), **values, wanted={}, expected=1, state=ExportState.QUEUED)
    letter = Delivery(id=new_id(), organization_id=acme.organization.id, key="k", event="export.ended", payload={})
    letter.state, letter.error, letter.address = DeliveryState.FAILED, "the mailbox is full", "mia@example.com"
    db.session.add_all([failed, fresh, letter])
    db.session.commit()
    assert "the mailbox is full" in sue.get("/admin/queue").get_data(as_text=True)
    for path in (f"runs/{waits.id}/cancellation", f"exports/{failed.id}/retry", f"exports/{fresh.id}/cancellation"):
        assert sue.submit(f"/admin/queue/{path}").status_code == 204, path
    db.session.expire_all()
    assert db.session.get_one(Execution, waits.id).state is State.CANCELLED
    assert db.session.get_one(RunExport, fresh.id).state is ExportState.CANCELLED
    assert not work.wake_run(waits.id), "it waits no more"
    said = [event.action for event in log_of(sue.person)]  # type: ignore[attr-defined]
    assert said == ["execution.cancelled", "export.retried", "export.cancelled"]


# -- people and organizations ----------------------------------------------------------------------


def test_somebody_who_is_switched_off_is_out_at_once_with_their_tokens_and_can_come_back(
    app: Flask, acme: people.Cast, sue: people.Browser
) -> None:
    acme.mia.set_password(PASSWORD)
    db.session.commit()
    mia, token = people.browser(app, acme.mia), acme.token()
    assert acme.mia.email in sue.get(f"/admin/people?q={acme.mia.email}").get_data(as_text=True)
    assert sue.submit(f"/admin/people/{acme.mia.id}/state").status_code == 204
    assert sue.submit(f"/admin/people/{acme.olivia.id}/state").status_code == 204
    assert mia.get(acme.session_url).location.startswith("/login")
    assert people.browser(app).get("/v1/models", headers={"x-api-key": token}).status_code == 401
    form = {"email": acme.mia.email, "password": PASSWORD}
    assert "switched off" in people.browser(app).submit("/login", form).get_data(as_text=True)
    assert acme.mia.email in sue.get("/admin/people?only=off").get_data(as_text=True)
    assert sue.submit(f"/admin/people/{acme.mia.id}/state", {"is_enabled": "yes"}).status_code == 204
    assert people.browser(app).submit("/login", form).status_code == 204
    sue.submit(f"/admin/people/{acme.olivia.id}/state", {"is_enabled": "yes"})
    assert people.browser(app).get("/v1/models", headers={"x-api-key": token}).status_code == 200


def test_a_superuser_is_made_with_ones_own_password_and_nobody_is_left_without_one(
    app: Flask, acme: people.Cast, sue: people.Browser
) -> None:
    url, me = f"/admin/people/{acme.mia.id}", sue.person  # type: ignore[attr-defined]
    assert sue.submit(f"{url}/superuser", {"is_superuser": "yes", "current": "wrong"}).status_code == 422
    assert not db.session.get_one(User, acme.mia.id).is_superuser
    page = sue.get(url).get_data(as_text=True)
    assert 'name="passkeys"' in page, "a passkey will do, too"
    assert "Place(" not in page
    sue.submit(f"{url}/superuser", {"is_superuser": "yes", "current": PASSWORD})
    db.session.refresh(acme.mia)
    assert acme.mia.is_superuser
    for path, form in (("superuser", {"current": PASSWORD}), ("state", {})):
        sue.submit(f"/admin/people/{me.id}/{path}", form)
        db.session.refresh(me)
        assert me.is_superuser
        assert me.disabled_at is None
    assert people.browser(app, acme.mia).get("/admin/queue").status_code == 200
    with app.app_context():  # at the same moment, in another process
        people_of_all.set_disabled(db.session.get_one(User, me.id), True, db.session.get_one(User, acme.mia.id))
    with pytest.raises(people_of_all.NotYourself):
        people_of_all.set_disabled(acme.mia, True, me)
    me.disabled_at = None
    db.session.commit()
    sue.submit(f"{url}/superuser", {"current": PASSWORD})
    assert people.browser(app, acme.mia).get("/admin/queue").status_code == 404


def test_somebody_is_signed_out_everywhere(app: Flask, acme: people.Cast, sue: people.Browser) -> None:
    mia = people.browser(app, acme.mia)
    assert mia.get(acme.session_url).status_code == 200
    sue.submit(f"/admin/people/{acme.mia.id}/sign-ins/revocation")
    assert mia.get(acme.session_url).status_code == 303
    sue.submit(f"/admin/people/{sue.person.id}/sign-ins/revocation")  # type: ignore[attr-defined]
    assert sue.get("/admin/queue").status_code == 200, "her own goes on"


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Honolulu", "UTC"])
def test_what_an_organization_spent_this_month_begins_with_its_own_first_day(acme: people.Cast, zone: str) -> None:
    acme.organization.time_zone = zone
    db.session.commit()
    begins = now().astimezone(ZoneInfo(zone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for asked, cost in ((begins - timedelta(minutes=1), 3), (begins + timedelta(minutes=1), 5)):
        paid(acme, cost, created_at=asked, finished_at=asked)
    count_all()
    used = homes.uses([acme.organization.id])[acme.organization.id]
    assert (used.runs, used.month, used.ever) == (2, 5, 8)


def test_a_suspended_organization_is_closed_and_goes_on_as_it_was(
    app: Flask, acme: people.Cast, sue: people.Browser
) -> None:
    mia, headers, url = people.browser(app, acme.mia), {"x-api-key": acme.token()}, acme.organization.id
    assert "Acme" in sue.get("/admin/organizations?q=acme&kind=TEAM").get_data(as_text=True)
    sue.submit(f"/admin/organizations/{url}/state")
    answer = mia.get(acme.session_url)
    assert (answer.status_code, "is suspended" in answer.get_data(as_text=True)) == (403, True)
    assert people.browser(app).get("/v1/models", headers=headers).status_code == 403
    assert "Suspended" in sue.get(f"/admin/organizations/{url}").get_data(as_text=True)
    sue.submit(f"/admin/organizations/{url}/state", {"is_open": "yes"})
    assert mia.get(acme.session_url).status_code == 200
    assert people.browser(app).get("/v1/models", headers=headers).status_code == 200


# -- acting as somebody ----------------------------------------------------------------------------


def test_who_acts_as_somebody_sees_what_they_see_and_both_are_named(
    app: Flask, acme: people.Cast, sue: people.Browser
) -> None:
    assert begin(sue, acme.adam, current="wrong") == 422
    assert begin(sue, acme.adam, reason=" ") == 422
    assert begin(sue, acme.adam) == 204
    page = sue.get(acme.session_url).get_data(as_text=True)
    assert "You act as Adam" in page
    assert sue.get("/admin/queue").status_code == 404, "Adam is no superuser"
    sue.submit(f"{acme.home}/projects/{acme.project.id}/name", {"name": "Renamed"})
    (notice,) = db.session.scalars(select(Notice).where(Notice.user_id == acme.adam.id))
    assert (notice.title, "look at your batch" in notice.body) == ("Sue looks at Dataelan in your name", True)
    adam, olivia = people.browser(app, acme.adam), people.browser(app, acme.olivia)
    assert "You act as" not in adam.get(acme.session_url).get_data(as_text=True)
    lines = {event.action: event for event in log_of(acme.adam)}
    assert set(lines) == {"project.changed", "impersonation.acted"}
    assert {event.impersonator_name for event in lines.values()} == {"Sue"}
    log = olivia.get(f"{acme.home}/audit").get_data(as_text=True)
    assert re.search(r"Adam</a><small class=\"audit-behind\">by <a[^>]*>Sue</a> in their name", log)
    assert "Impersonation begun" in log
    assert sue.submit("/acting/end").status_code == 204
    assert sue.get("/admin/queue").status_code == 200
    assert sue.submit("/acting/end").status_code == 404


def test_it_ends_by_itself_and_with_the_right_to_it(app: Flask, acme: people.Cast, sue: people.Browser) -> None:
    me = sue.person  # type: ignore[attr-defined]
    begin(sue, acme.adam)
    over = update(SignIn).where(SignIn.user_id == me.id).values(acting_until=now() - timedelta(seconds=1))
    db.session.execute(over)
    db.session.commit()
    assert sue.get("/admin/queue").status_code == 200, "an hour is over"
    begin(sue, acme.adam)
    db.session.execute(update(User).where(User.id == me.id).values(is_superuser=False))
    db.session.commit()
    assert sue.get(acme.session_url).status_code == 404, "whoever is no superuser any more is nobody here"
    db.session.execute(update(User).where(User.id == me.id).values(is_superuser=True))
    db.session.commit()
    assert sue.submit("/logout").status_code == 204
    assert sue.get("/admin/queue").status_code == 303, "to sign out is to sign out, whoever one acts as"


def test_nobody_acts_as_a_superuser_or_as_themselves(app: Flask, acme: people.Cast, sue: people.Browser) -> None:
    acme.mia.is_superuser = True
    db.session.commit()
    assert begin(sue, acme.mia) == 403
    assert begin(sue, sue.person) == 403  # type: ignore[attr-defined]
    begin(sue, acme.adam)
    acme.adam.is_superuser = True
    db.session.commit()
    page = sue.get("/admin/people").get_data(as_text=True)
    assert "You act as" not in page, "who becomes one meanwhile is acted as no more"
    acme.adam.is_superuser = acme.mia.is_superuser = False
    db.session.commit()


def test_their_account_secrets_and_exports_stay_closed_to_who_acts_as_them(
    app: Flask, acme: people.Cast, sue: people.Browser
) -> None:
    posts = {rule.endpoint for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}
    assert posts >= impersonating.SINGLE
    assert set(impersonating.WHOLE) <= set(app.blueprints)
    named = re.compile(r"secret|token|rotate|password|two_factor|invite|replace|export|connect|recovery")
    harmless = {"projects.revoke_token", "dashboards.cancel_export", "admin.retry_export", "hub.model_replacement"}
    guarded = {one for one in posts if one.partition(".")[0] in impersonating.WHOLE} | impersonating.SINGLE
    opens = {one for one in posts if named.search(one) and not one.startswith(("gateway.", "forgotten."))}
    assert sorted(opens - guarded - harmless) == [], (
        "does this form show a secret, or take data out? See impersonating.SINGLE"
    )
    begin(sue, acme.adam)
    for path in (
        "/account/password",
        "/account/two-factor",
        f"{acme.home}/projects/{acme.project.id}/tokens",
        f"{acme.home}/webhooks",
        f"{acme.home}/invitations",
        f"{acme.home}/audit/export",
        f"{acme.home}/hub/import",
        f"{acme.home}/hub/keys/{new_id()}/deletion",
        f"{acme.home}/hub/providers/{new_id()}/deletion",
        f"{acme.home}/members/{new_id()}/role",
        f"{acme.home}/projects/{acme.project.id}/people",
        f"{acme.home}/projects/{acme.project.id}/people/{new_id()}/role",
        f"{acme.home}/settings",
        f"{acme.home}/notices/reading",
        f"{acme.home}/trash/session/{new_id()}/erasure",
        "/organizations/new",
    ):
        answer = sue.submit(path, {"current": PASSWORD, "password": "another long password", "label": "x"})
        assert answer.status_code == 403, path
        assert "Not in somebody else" in answer.get_data(as_text=True)
    two_factor.set_up(acme.adam)
    assert sue.get("/account/two-factor").status_code == 403, "it shows the secret of who has not confirmed it yet"


def test_no_page_hands_out_a_file_in_somebody_elses_name(app: Flask, acme: people.Cast, sue: people.Browser) -> None:
    adam = people.browser(app, acme.adam)
    paths = [f"{acme.session_url}/export/{form}" for form in ("md", "json")]
    paths += [f"{acme.home}/hub/export.yaml", f"{acme.home}/dashboard/spend/models.csv"]
    for path in paths:
        assert adam.get(path).headers["Content-Disposition"].startswith("attachment"), path
    begin(sue, acme.adam)
    for path in paths:
        answer = sue.get(path)
        assert (answer.status_code, "Content-Disposition" in answer.headers) == (403, False), path
        assert "Not in somebody else" in answer.get_data(as_text=True)
        assert "default-src" in answer.headers["Content-Security-Policy"]
    assert sue.get(acme.session_url).status_code == 200


# -- modes -----------------------------------------------------------------------------------------


def test_in_maintenance_everybody_but_superusers_is_told_to_come_back(
    app: Flask, acme: people.Cast, sue: people.Browser, reopened: None
) -> None:
    mia, headers = people.browser(app, acme.mia), {"x-api-key": acme.token()}
    words = {"mode": "maintenance", "words": "Back at <b>noon</b>."}
    assert sue.submit("/admin/settings/mode", words).status_code == 204
    for answer in (mia.get(acme.session_url), mia.submit(f"{acme.home}/projects", {"name": "New"})):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "120")
        assert "Back at &lt;b&gt;noon&lt;/b&gt;." in answer.get_data(as_text=True)
    for answer in (people.browser(app).get("/v1/models", headers=headers), call(app, headers)):
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "120")
        assert answer.json["error"]["code"] == "maintenance"  # type: ignore[index]
    assert "Dataelan is being looked after." in sue.get("/admin/queue").get_data(as_text=True)
    assert people.browser(app).get("/login").status_code == 200, "superusers have to get in"
    assert people.browser(app).submit("/login/passkey/options").status_code == 200, "by a passkey too"
    assert people.browser(app).get("/healthz").status_code == 200
    assert people.browser(app).get("/signup").status_code == 503


def test_read_only_all_can_be_looked_at_and_nothing_is_written(
    app: Flask, acme: people.Cast, sue: people.Browser, reopened: None
) -> None:
    mia, headers = people.browser(app, acme.mia), {"x-api-key": acme.token()}
    sue.submit("/admin/settings/mode", {"mode": "read_only", "words": ""})
    assert "Nothing can be changed just now." in mia.get(acme.session_url).get_data(as_text=True)
    assert mia.submit(f"{acme.home}/projects", {"name": "New"}).status_code == 503
    assert people.browser(app).get("/v1/models", headers=headers).status_code == 200
    assert call(app, headers).status_code == 503
    with app.test_request_context():
        assert modes.current() is Mode.READ_ONLY
    sue.submit("/admin/settings/mode", {"mode": "open", "words": ""})
    assert mia.submit(f"{acme.home}/projects", {"name": "New"}).status_code == 204
    said = select(AuditEvent).where(AuditEvent.action == "platform.mode_set").order_by(AuditEvent.id)
    event = db.session.scalars(said).all()[-1]
    assert event.detail["before"]["mode"] == "read_only"


def call(app: Flask, headers: dict[str, str]):  # type: ignore[no-untyped-def]
    body = {"model": "simulated/simulated-instant", "messages": [{"role": "user", "content": "Hi"}]}
    return people.browser(app).post("/v1/chat/completions", json=body, headers=headers)


# -- the rest of it --------------------------------------------------------------------------------


def test_the_log_of_all_and_the_settings_are_there_and_no_secret_is_in_them(
    app: Flask, acme: people.Cast, sue: people.Browser
) -> None:
    adam = people.browser(app, acme.adam)
    adam.submit(f"{acme.home}/projects/{acme.project.id}/name", {"name": "Renamed"})
    log = sue.get("/admin/audit").get_data(as_text=True)
    assert "Project changed" in log
    assert 'class="soft">Acme</span>' in log
    assert b"project.changed" in sue.submit("/admin/audit/export", {"form": "jsonl", "kind": "project"}).get_data()
    shown = sue.get("/admin/settings").get_data(as_text=True) + sue.get("/admin/platform").get_data(as_text=True)
    assert "Prompts a worker runs at once" in shown
    assert "<strong>Mistral</strong>" in shown
    assert re.search(r"Row-level security</\w+>\s*<\w+[^>]*>\s*Yes", shown)
    for secret in filter(None, app.extensions["dataelan_settings"].secrets):
        assert secret not in shown
    assert "Administration" in sue.get("/account").get_data(as_text=True)
    assert "Administration" not in adam.get(acme.session_url).get_data(as_text=True)
