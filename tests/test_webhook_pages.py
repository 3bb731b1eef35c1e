"""The pages of webhooks: made, tested, rotated, switched, retried and deleted; a secret is shown once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from dataelan_web.extensions import db
from dataelan_web.models import AuditEvent, Delivery, DeliveryState, Webhook, now
from dataelan_web.notices.lists import PAGE
from dataelan_web.notify import deliver, tell, webhooks
from dataelan_web.notify.kinds import FOR_PROGRAMS

from . import people
from .receiver import Receiver, receiver

SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=")
ALL = list(FOR_PROGRAMS)


@pytest.fixture
def program() -> Iterator[Receiver]:
    with receiver() as there:
        yield there


def webhook(cast: people.Cast) -> Webhook:
    db.session.rollback()
    query = select(Webhook).where(Webhook.organization_id == cast.organization.id)
    return db.session.scalars(query.execution_options(populate_existing=True)).one()


def last(cast: people.Cast) -> Delivery:
    db.session.rollback()
    query = select(Delivery).where(Delivery.organization_id == cast.organization.id, Delivery.webhook_id.is_not(None))
    query = query.order_by(Delivery.id.desc()).execution_options(populate_existing=True)
    found = db.session.scalars(query).first()
    assert found
    return found


def secret_in(html: str) -> str:
    (secret,) = set(SECRET.findall(html.replace("&#34;", '"')))
    return str(secret)


def test_a_webhook_is_made_tested_rotated_and_deleted(app: Flask, acme: people.Cast, program: Receiver) -> None:
    adam, home = people.browser(app, acme.adam), f"{acme.home}/webhooks"
    assert "No webhooks yet" in adam.get(home).get_data(as_text=True)
    made = adam.submit(home, {"label": "Ops", "url": program.url, "events": ALL})
    assert made.status_code == 201
    secret = secret_in(made.get_data(as_text=True))
    assert webhook(acme).events == [], "all kinds, those of a later version too"
    url = f"{home}/{webhook(acme).id}"

    tested = adam.submit(f"{url}/test").get_data(as_text=True)
    assert "It was delivered" in tested
    assert "The receiver answered 204." in tested
    assert program.got[0].verified(secret)["type"] == "webhook.test"
    program.answers, program.body = [503], b"<script>alert(1)</script>"
    tested = adam.submit(f"{url}/test").get_data(as_text=True)
    assert "It was not delivered" in tested
    assert "It answered 503: &lt;script&gt;alert(1)&lt;/script&gt;" in tested
    assert last(acme).state is DeliveryState.FAILED, "a test is tried once"

    rotated = adam.submit(f"{url}/secret").get_data(as_text=True)
    other = secret_in(rotated)
    assert other != secret
    assert "The one before signs too until" in rotated
    for page in (adam.get(home), adam.get(url)):
        assert not SECRET.search(page.get_data(as_text=True))
        assert "dk2." not in page.get_data(as_text=True)

    assert "Switch on" in adam.submit(f"{url}/state", {"is_enabled": "no"}).get_data(as_text=True)
    assert "The webhook is switched off." in adam.submit(f"{url}/test").get_data(as_text=True)
    assert "Switch off" in adam.submit(f"{url}/state", {"is_enabled": "yes"}).get_data(as_text=True)
    assert adam.submit(f"{url}/deletion").status_code == 204
    assert "No webhooks yet" in adam.get(home).get_data(as_text=True)
    events = db.session.scalars(select(AuditEvent).where(AuditEvent.organization_id == acme.organization.id)).all()
    assert [event.action for event in sorted(events, key=lambda event: event.id)] == [
        "webhook.created",
        "webhook.tested",
        "webhook.tested",
        "webhook.rotated",
        "webhook.disabled",
        "webhook.tested",
        "webhook.enabled",
        "webhook.deleted",
    ]
    everything = str([(event.detail, event.subject_name) for event in events])
    assert secret not in everything
    assert "/hook" not in everything, "a path may be a secret too"


def test_a_form_that_is_refused_keeps_what_was_typed(app: Flask, acme: people.Cast) -> None:
    olivia, home = people.browser(app, acme.olivia), f"{acme.home}/webhooks"
    for form, problem in (
        ({"label": "", "url": "https://example.com/x", "events": ALL}, "Give it a name."),
        ({"label": "Ops", "url": "ftp://example.com/x", "events": ALL}, "Enter an address such as"),
        ({"label": "Ops", "url": "http://8.8.8.8/typed", "events": ALL}, "must use https"),
        ({"label": "Ops", "url": "http://127.0.0.1:9/typed"}, "Choose at least one."),
        ({"label": "Ops", "url": "http://127.0.0.1:9/typed", "events": ["no.such"]}, "not a valid choice"),
    ):
        answer = olivia.submit(home, form)
        assert answer.status_code == 422
        html = answer.get_data(as_text=True)
        assert problem in html
        assert str(form["url"]) in html
        assert not SECRET.search(html)
    assert not db.session.scalars(select(Webhook).where(Webhook.organization_id == acme.organization.id)).all()


def test_an_organization_has_room_for_so_many(
    app: Flask, acme: people.Cast, rival: people.Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "MOST", 1)
    form: dict[str, object] = {"label": "Ops", "url": "http://127.0.0.1:9/", "events": ALL}
    olivia = people.browser(app, acme.olivia)
    assert olivia.submit(f"{acme.home}/webhooks", form).status_code == 201
    refused = olivia.submit(f"{acme.home}/webhooks", form)
    assert refused.status_code == 422
    assert "can have 1 webhooks" in refused.get_data(as_text=True)
    assert people.browser(app, rival.olivia).submit(f"{rival.home}/webhooks", form).status_code == 201


def test_another_address_is_another_receiver_with_a_secret_of_its_own(app: Flask, acme: people.Cast) -> None:
    made, _ = webhooks.create(acme.organization, None, "Ops", "http://127.0.0.1:9/a", [])
    url, olivia = f"{acme.home}/webhooks/{made.id}/settings", people.browser(app, acme.olivia)
    kept = olivia.submit(url, {"label": "Renamed", "url": "http://127.0.0.1:9/b", "events": ["limit.reached"]})
    assert not SECRET.search(kept.get_data(as_text=True))
    assert (webhook(acme).label, webhook(acme).events) == ("Renamed", ["limit.reached"])
    moved = olivia.submit(url, {"label": "Renamed", "url": "http://127.0.0.1:10/b", "events": ALL})
    assert webhooks.secrets_of(webhook(acme)) == [secret_in(moved.get_data(as_text=True))]
    refused = olivia.submit(url, {"label": "Renamed", "url": "https://no-such-machine.invalid/", "events": ALL})
    assert refused.status_code == 422
    assert "No machine is known by the name" in refused.get_data(as_text=True)
    assert webhook(acme).url == "http://127.0.0.1:10/b"


def test_a_failed_delivery_is_tried_again_now(app: Flask, acme: people.Cast, program: Receiver) -> None:
    made, secret = webhooks.create(acme.organization, None, "Ops", program.url, [])
    tell(db.session, acme.organization.id, [], "k", "limit.reached", "A limit")
    failed = (DeliveryState.FAILED, deliver.MOST_TRIES, "It answered 500.")
    values = dict(zip(("state", "tries", "error"), failed, strict=True))
    db.session.execute(update(Delivery).where(Delivery.webhook_id == made.id).values(**values))
    db.session.commit()
    olivia, url = people.browser(app, acme.olivia), f"{acme.home}/webhooks/{made.id}"
    assert "Try again now" in olivia.get(url).get_data(as_text=True)
    program.answers = [500]
    retry = f"{url}/deliveries/{last(acme).id}/retry"
    assert "It was not delivered" in olivia.submit(retry).get_data(as_text=True)
    assert (last(acme).state, last(acme).tries) == (DeliveryState.WAITING, 1), "its tries begin anew"
    assert last(acme).next_at < now() + timedelta(seconds=10)
    answer = olivia.submit(retry).get_data(as_text=True)
    assert "It was delivered" in answer
    assert '<details class="sent" open>' in answer
    assert last(acme).state is DeliveryState.DELIVERED
    assert {got.id for got in program.got} == {deliver.message_id(last(acme))}
    assert program.got[0].verified(secret)["data"]["title"] == "A limit"
    other, _ = webhooks.create(acme.organization, None, "Other", program.url, [])
    assert olivia.submit(f"{acme.home}/webhooks/{other.id}/deliveries/{last(acme).id}/retry").status_code == 404


def test_older_deliveries_follow(app: Flask, acme: people.Cast) -> None:
    made, _ = webhooks.create(acme.organization, None, "Ops", "http://127.0.0.1:9/", [])
    for number in range(PAGE + 3):
        tell(db.session, acme.organization.id, [], f"{number}", "limit.reached", f"Number {number:03}")
    db.session.execute(update(Delivery).where(Delivery.webhook_id == made.id).values(state=DeliveryState.FAILED))
    db.session.commit()
    olivia, url = people.browser(app, acme.olivia), f"{acme.home}/webhooks/{made.id}"
    html = olivia.get(url).get_data(as_text=True)
    older = re.search(r'hx-get="([^"]*before=[^"]*)"', html)[1]  # type: ignore[index]
    rest = olivia.get(older, headers={"HX-Request": "true"}).get_data(as_text=True)
    found = re.findall(r'sent-title truncate">([^<]*)', html + rest)
    assert found == [f"Number {number:03}" for number in range(PAGE + 2, -1, -1)]
    assert "<html" not in rest
    assert "hx-get" not in rest
