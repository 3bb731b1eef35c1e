"""What is told reaches webhooks: signed, once an event, tried again, given up, and never where it may not go."""

from __future__ import annotations

import logging
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from standardwebhooks.webhooks import WebhookVerificationError

from dataelan_web.extensions import db
from dataelan_web.models import Delivery, DeliveryState, Notice, Webhook, now
from dataelan_web.notify import deliver, posting, prune, tell, webhooks
from dataelan_web.notify.signing import headers, new_secret
from dataelan_web.secrets import Unreadable, keyring

from . import people
from .conftest import wait_until
from .hostile_addresses import targets
from .receiver import Receiver, receiver


@pytest.fixture
def program() -> Iterator[Receiver]:
    with receiver() as there:
        yield there


def webhook(cast: people.Cast, url: str, events: list[str] | None = None) -> tuple[Webhook, str]:
    return webhooks.create(cast.organization, cast.olivia.id, "Operations", url, events or [])


def say(cast: people.Cast, key: str = "", kind: str = "limit.reached", **values: Any) -> None:
    """`values`: how its deliveries are from the start, before a worker of other tests can take them."""
    key = key or uuid.uuid4().hex
    tell(db.session, cast.organization.id, [cast.olivia.id], key, kind, "A title", "A body", f"{cast.home}/limits/1")
    if values:
        mine = (Delivery.organization_id == cast.organization.id, Delivery.key == key)
        db.session.execute(update(Delivery).where(*mine).values(**values))
    db.session.commit()


def deliveries(hook: Webhook) -> list[Delivery]:
    db.session.rollback()
    query = select(Delivery).where(Delivery.webhook_id == hook.id).order_by(Delivery.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def only(hook: Webhook) -> Delivery:
    (delivery,) = deliveries(hook)
    return delivery


def at_once(hook: Webhook) -> None:
    """As if the pause were over."""
    mine = (Delivery.webhook_id == hook.id, Delivery.state == DeliveryState.WAITING)
    db.session.execute(update(Delivery).where(*mine).values(next_at=now() - timedelta(seconds=1)))
    db.session.commit()


def settle(app: Flask, hook: Webhook, tries: int) -> Delivery:
    """Until it was tried so often; a worker of other tests may take part."""

    def tried() -> bool:
        deliver.due(app)
        found = only(hook)
        return found.tries >= tries and (found.state is not DeliveryState.WAITING or bool(found.error))

    at_once(hook)
    wait_until(tried)
    return only(hook)


# -- the outbox ------------------------------------------------------------------------------------


def test_what_is_told_is_sent_only_when_it_is_committed(app: Flask, acme: people.Cast, program: Receiver) -> None:
    hook, _ = webhook(acme, program.url)
    tell(db.session, acme.organization.id, [acme.olivia.id], "k", "limit.reached", "Never said")
    db.session.rollback()
    assert deliveries(hook) == []
    say(acme)
    assert settle(app, hook, 1).state is DeliveryState.DELIVERED
    assert [got.path for got in program.got] == ["/hook"]


def test_nobody_and_no_program_is_told_the_same_twice(acme: people.Cast) -> None:
    hook, _ = webhook(acme, "http://127.0.0.1:9/")
    for user_ids in ([acme.olivia.id], [acme.olivia.id, acme.adam.id], []):
        tell(db.session, acme.organization.id, user_ids, "about this", "limit.reached", "A\n title " + "x" * 300)
    db.session.commit()
    notices = db.session.scalars(select(Notice).where(Notice.organization_id == acme.organization.id)).all()
    assert {notice.user_id for notice in notices} == {acme.olivia.id, acme.adam.id}
    assert len(notices) == 2
    assert len(notices[0].title) == 200
    assert notices[0].title.startswith("A title x")
    assert only(hook).key == "about this"


def test_a_webhook_hears_the_kinds_it_wants_and_none_while_it_is_off(acme: people.Cast) -> None:
    all_kinds, _ = webhook(acme, "http://127.0.0.1:9/")
    one_kind, _ = webhook(acme, "http://127.0.0.1:9/", ["increase.asked"])
    off, _ = webhook(acme, "http://127.0.0.1:9/")
    webhooks.set_enabled(off, False)
    for kind in ("limit.reached", "increase.asked", "webhook.failed"):
        say(acme, kind=kind)
    assert [delivery.event for delivery in deliveries(all_kinds)] == ["limit.reached", "increase.asked"]
    assert [delivery.event for delivery in deliveries(one_kind)] == ["increase.asked"]
    assert deliveries(off) == []


def test_another_organization_hears_nothing(acme: people.Cast, rival: people.Cast) -> None:
    theirs, _ = webhook(rival, "http://127.0.0.1:9/")
    say(acme)
    assert deliveries(theirs) == []


def test_a_path_leads_nowhere_else(acme: people.Cast) -> None:
    for path in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "limits"):
        with pytest.raises(ValueError, match="not a path"):
            tell(db.session, acme.organization.id, [acme.olivia.id], "k", "limit.reached", "t", path=path)


# -- signatures ------------------------------------------------------------------------------------


def test_another_implementation_finds_the_signature_right(app: Flask, acme: people.Cast, program: Receiver) -> None:
    acme.organization.name = "Ämter & “Söhne” 中文"
    db.session.commit()
    hook, secret = webhook(acme, program.url)
    say(acme)
    settle(app, hook, 1)
    got = program.got[0]
    payload = got.verified(secret)
    assert payload["type"] == "limit.reached"
    assert payload["data"]["organization"]["name"] == "Ämter & “Söhne” 中文"
    assert payload["data"]["url"].endswith(f"{acme.home}/limits/1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", payload["timestamp"])
    assert got.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        replace(got, body=got.body + b" ").verified(secret)
    with pytest.raises(WebhookVerificationError):
        got.verified(new_secret())


def test_a_message_without_a_secret_is_not_sent() -> None:
    for keys in ([], [""], ["secret"]):
        with pytest.raises(ValueError, match="signed, or not sent"):
            headers("msg_1", now(), b"{}", keys)


def test_both_secrets_sign_for_a_day_after_a_rotation(app: Flask, acme: people.Cast, program: Receiver) -> None:
    hook, old = webhook(acme, program.url)
    new = webhooks.rotate(hook)
    assert new != old
    say(acme)
    settle(app, hook, 1)
    assert program.got[0].verified(old) == program.got[0].verified(new)
    assert len(program.got[0].headers["webhook-signature"].split(" ")) == 2
    hook.rotated_at = now() - timedelta(hours=24, seconds=1)
    db.session.commit()
    assert webhooks.secrets_of(hook) == [new]


def test_a_secret_is_bound_to_its_row_field_and_origin(acme: people.Cast) -> None:
    hook, _ = webhook(acme, "http://127.0.0.1:9/a")
    other, _ = webhook(acme, "http://127.0.0.1:9/b")
    webhooks.rotate(hook)
    sealed = hook.ciphertext
    assert webhooks.change(hook, "Renamed", "http://127.0.0.1:9/c?x=1", []) is None, "the same origin"
    assert webhooks.secrets_of(hook)
    new = webhooks.change(hook, "Renamed", "http://127.0.0.1:10/c", [])
    assert webhooks.secrets_of(hook) == [new], "another receiver must not know what the first one knew"
    for changed in ({"ciphertext": sealed}, {"ciphertext": other.ciphertext}, {"url": "http://127.0.0.1:11/"}):
        for name, value in changed.items():
            setattr(hook, name, value)
        with pytest.raises(Unreadable):
            webhooks.secrets_of(hook)
        db.session.rollback()
    with pytest.raises(Unreadable):
        keyring().decrypt(hook.ciphertext, webhooks.previous_place_of(hook))


# -- tried again, given up -------------------------------------------------------------------------


def test_a_message_is_tried_again_with_growing_pauses_and_the_same_id(
    app: Flask, acme: people.Cast, program: Receiver
) -> None:
    hook, secret = webhook(acme, program.url)
    program.answers, program.body = [500, 429, 302], b"<h1>\xff down\n\x1b[31m</h1>"
    program.headers = {"Retry-After": "7200", "Location": "http://127.0.0.1:9/elsewhere"}
    say(acme)
    first = settle(app, hook, 1)
    assert (first.state, first.status) == (DeliveryState.WAITING, 500)
    assert first.error == "It answered 500: <h1>� down ⟨U+001B⟩[31m</h1>"
    assert timedelta(minutes=110) < first.next_at - now() <= timedelta(hours=2), "as it asked"
    program.headers = {"Location": "http://127.0.0.1:9/elsewhere"}
    second = settle(app, hook, 2)
    assert timedelta(minutes=3) < second.next_at - now() < timedelta(minutes=7)
    third = settle(app, hook, 3)
    assert third.error == posting.MOVED
    last = settle(app, hook, 4)
    assert (last.state, last.status, last.error) == (DeliveryState.DELIVERED, 204, "")
    assert {got.id for got in program.got} == {deliver.message_id(last)}
    assert len({got.body for got in program.got}) == 1
    assert all(got.verified(secret) for got in program.got)


def test_pauses_grow_to_half_a_day_and_vary() -> None:
    pauses = [deliver.pause(tries, None) for tries in range(1, deliver.MOST_TRIES)]
    assert pauses[:-1] == sorted(pauses[:-1])
    assert pauses[0] < timedelta(seconds=7)
    assert timedelta(hours=9) < pauses[-1] < timedelta(hours=15)
    assert len({deliver.pause(3, None) for _ in range(5)}) > 1
    assert deliver.pause(1, 10**9) == timedelta(hours=24), "nobody makes us wait for ever"


def test_what_cannot_be_delivered_is_given_up_and_its_owners_told_once(
    app: Flask, acme: people.Cast, program: Receiver
) -> None:
    hook, _ = webhook(acme, program.url)
    program.answers = [503] * 100
    for key in ("one", "two"):
        say(acme, key, tries=deliver.MOST_TRIES - 1)
        wait_until(lambda: deliver.due(app) or all(d.state is DeliveryState.FAILED for d in deliveries(hook)))
    wait_until(lambda: all(d.state is DeliveryState.FAILED for d in deliveries(hook)))
    assert failures(acme) == {"olivia": 1, "adam": 1}
    program.answers = []
    assert deliver.again(deliveries(hook)[0])
    assert [delivery.state for delivery in deliveries(hook)] == [DeliveryState.DELIVERED, DeliveryState.FAILED]
    program.answers = [410]
    say(acme, "three")
    at_once(hook)
    wait_until(lambda: deliver.due(app) or deliveries(hook)[-1].state is DeliveryState.FAILED)
    wait_until(lambda: deliveries(hook)[-1].state is DeliveryState.FAILED)
    assert failures(acme) == {"olivia": 2, "adam": 2}, "it had worked in between"
    db.session.refresh(hook)
    assert not hook.is_enabled, "410 Gone: it wants no more"


def failures(cast: people.Cast) -> dict[str, int]:
    db.session.rollback()
    mine = select(Notice.user_id).where(Notice.organization_id == cast.organization.id, Notice.kind == "webhook.failed")
    who = [next(name for name, user in cast.people.items() if user.id == id) for id in db.session.scalars(mine)]
    return {name: who.count(name) for name in sorted(who, reverse=True)}


def test_what_a_killed_worker_was_sending_is_sent_again_with_the_same_id(
    app: Flask, acme: people.Cast, program: Receiver
) -> None:
    """It dies with the request on the wire: the receiver has it, and nobody wrote that down."""
    hook, secret = webhook(acme, program.url)
    say(acme, tries=1, next_at=now() + deliver.LEASE)  # claimed
    delivery = only(hook)
    posting.post_signed(hook.url, delivery.payload, [secret], deliver.message_id(delivery))  # sent; and it dies
    deliver.due(app)
    assert only(hook).state is DeliveryState.WAITING, "the claim holds for a while"
    assert settle(app, hook, 2).state is DeliveryState.DELIVERED
    assert [got.id for got in program.got] == [deliver.message_id(delivery)] * 2


def test_a_message_whose_senders_all_die_is_given_up(app: Flask, acme: people.Cast, program: Receiver) -> None:
    hook, _ = webhook(acme, program.url)
    say(acme, tries=deliver.MOST_TRIES)
    assert settle(app, hook, deliver.MOST_TRIES + 1).error == deliver.NO_END
    assert program.got == []


def test_who_lost_the_claim_writes_nothing(app: Flask, acme: people.Cast, program: Receiver) -> None:
    hook, _ = webhook(acme, program.url)
    say(acme, tries=1, next_at=now() + deliver.LEASE)
    delivery = only(hook)
    program.open.clear()
    slow = threading.Thread(target=lambda: _attempt(app, delivery.id, 1))
    slow.start()
    wait_until(lambda: program.got)
    db.session.execute(update(Delivery).where(Delivery.id == delivery.id).values(tries=2))  # another claimed it
    db.session.commit()
    program.open.set()
    slow.join()
    assert only(hook).state is DeliveryState.WAITING


def _attempt(app: Flask, id: uuid.UUID, fence: int) -> None:
    with app.app_context():
        deliver.attempt(id, fence)


def test_several_workers_at_once_send_each_message_once(app: Flask, acme: people.Cast, program: Receiver) -> None:
    hook, _ = webhook(acme, program.url)
    for _ in range(12):
        say(acme)
    workers = [threading.Thread(target=deliver.due, args=(app,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wait_until(lambda: deliver.due(app) or all(d.state is DeliveryState.DELIVERED for d in deliveries(hook)))
    wait_until(lambda: all(d.state is DeliveryState.DELIVERED for d in deliveries(hook)))
    ids = [got.id for got in program.got]
    assert len(ids) == len(set(ids)) == 12


def test_one_silent_receiver_takes_a_few_places_of_a_batch(app: Flask, acme: people.Cast, rival: people.Cast) -> None:
    silent, _ = webhook(acme, "http://127.0.0.1:9/")
    other, _ = webhook(rival, "http://127.0.0.1:9/")
    for _ in range(50):
        say(acme)
    say(rival)
    with app.app_context():
        claimed = {id for id, _ in deliver.claim(db.session)}
    assert len(claimed & {delivery.id for delivery in deliveries(silent)}) <= deliver.EACH
    assert only(other).tries == 1
    webhooks.delete(silent)


def test_no_connection_is_held_while_a_receiver_keeps_us_waiting(
    app: Flask, acme: people.Cast, program: Receiver
) -> None:
    hook, _ = webhook(acme, program.url)
    say(acme)
    program.open.clear()
    with app.app_context():
        pool, before = db.engine.pool, 0
        before = pool.checkedout()  # type: ignore[attr-defined]
        sending = threading.Thread(target=deliver.due, args=(app,))
        sending.start()
        wait_until(lambda: program.got)
        assert pool.checkedout() <= before  # type: ignore[attr-defined]
        program.open.set()
        sending.join()
    wait_until(lambda: only(hook).state is DeliveryState.DELIVERED)


def test_what_waits_for_a_webhook_that_is_switched_off_or_deleted_is_not_sent(
    app: Flask, acme: people.Cast, program: Receiver
) -> None:
    off, _ = webhook(acme, program.url)
    gone, _ = webhook(acme, program.url)
    say(acme, next_at=now() + timedelta(hours=1))
    webhooks.set_enabled(off, False)
    webhooks.delete(gone)
    deliver.due(app)
    assert program.got == []
    assert (only(off).state, only(off).error) == (DeliveryState.FAILED, webhooks.SWITCHED_OFF)
    assert (only(gone).state, only(gone).error) == (DeliveryState.FAILED, webhooks.DELETED)
    assert failures(acme) == {}


# -- where it may go, and what nobody may see ------------------------------------------------------


@pytest.fixture
def strict(app: Flask) -> Iterator[None]:
    """An operator who allows no private addresses."""
    kept = app.extensions["dataelan_settings"]
    app.extensions["dataelan_settings"] = replace(kept, private_addresses=False)
    yield
    app.extensions["dataelan_settings"] = kept


def test_private_addresses_are_refused_when_named_and_when_called(
    app: Flask, acme: people.Cast, program: Receiver, strict: None
) -> None:
    port = int(program.url.split(":")[2].split("/")[0])
    for url in (program.url, *targets(port)[::5]):
        with pytest.raises(posting.AddressRefused):
            webhooks.create(acme.organization, None, "x", url, [])
        result = posting.post_signed(url, {}, [new_secret()], "msg_1")
        assert result.error
        assert result.status is None
    assert program.got == []


def test_an_address_is_one_that_all_programs_read_alike(acme: people.Cast) -> None:
    for url in (
        "ftp://127.0.0.1/",
        "http://user:pass@127.0.0.1/",
        "http://127.0.0.1\\@evil.example/",
        "http://127.0.0.1/#part",
        "http://127.0.0.1/ü",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/" + "a" * 2000,
        "//127.0.0.1/",
        "",
        "http://",
    ):
        with pytest.raises(posting.AddressRefused, match="Enter an address such as"):
            posting.check_address(url)
    with pytest.raises(posting.AddressRefused, match="No machine is known by the name"):
        posting.check_address("https://no-such-machine.invalid/hook")
    with pytest.raises(posting.AddressRefused, match="must use https"):
        posting.check_address("http://8.8.8.8/hook")
    posting.check_address("http://[::1]:9/hook?token=1&x=2")


def test_an_endless_answer_is_not_read_to_its_end(app: Flask, acme: people.Cast, program: Receiver) -> None:
    hook, _ = webhook(acme, program.url)
    program.answers, program.body = [500], b"x" * 5_000_000
    say(acme)
    assert len(settle(app, hook, 1).error) < 400


def test_a_secret_is_in_no_log_no_payload_and_no_table(
    app: Flask, acme: people.Cast, program: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook, secret = webhook(acme, program.url)
    other = webhooks.rotate(hook)
    program.answers = [500]
    say(acme)
    settle(app, hook, 1)
    hook.ciphertext = "dk2.k1.AAAA.AAAA"
    db.session.commit()
    assert settle(app, hook, 2).error == deliver.UNREADABLE
    everything = str([vars(delivery) for delivery in deliveries(hook)]) + str(vars(hook)) + caplog.text
    for word in (secret, other):
        assert word not in everything
        assert word.removeprefix("whsec_") not in everything


def test_old_deliveries_and_notices_go(acme: people.Cast) -> None:
    hook, _ = webhook(acme, "http://127.0.0.1:9/")
    say(acme, "old")
    say(acme, "new")
    for model, days in ((Delivery, 31), (Notice, 181)):
        row = db.session.scalars(
            select(model).where(model.organization_id == acme.organization.id, model.key == "old")
        ).one()
        id = uuid.UUID(int=prune.first_id(timedelta(days=days)).int + 1)
        db.session.execute(update(model).where(model.id == row.id).values(id=id))
    db.session.commit()
    prune.prune(db.session)
    assert [delivery.key for delivery in deliveries(hook)] == ["new"]
    keys = db.session.scalars(select(Notice.key).where(Notice.organization_id == acme.organization.id)).all()
    assert keys == ["new"]
