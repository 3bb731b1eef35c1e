"""The outbox: what waits is sent, tried again with growing pauses, and given up. Every worker does this; several at
once do no harm.

A message is claimed by one UPDATE that pushes its next try away: that is the lease. Whoever claimed it sends it without
a database connection and writes what came of it, if the claim is still theirs (`tries` is the fence). A worker that is
killed meanwhile leaves a message that is due again when the lease is over: it is sent once more, with the same id.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from flask import Flask, current_app
from sqlalchemy import func, select, update
from sqlalchemy.orm import joinedload

from .. import audit
from ..extensions import db, waits
from ..models import Delivery, DeliveryState, Organization, Webhook, new_id, now
from ..models.base import DbSession
from ..secrets import Unreadable
from . import letters, mail, posting, prune, webhooks
from .giving_up import TEST, given_up
from .result import Result
from .tell import Word, in_order, payload

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two looks at the outbox."""
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 12 * 3600))
"""Before each further try: the last is thirty hours after the first."""
MOST_TRIES = len(PAUSES) + 1
LONGEST_PAUSE = timedelta(hours=24)
JITTER = 0.2
LEASE = timedelta(minutes=3)
"""Longer than a batch takes, with every receiver silent."""
AT_ONCE = 8
BATCH = 32
EACH = 4
"""Messages of one batch for the same receiver: one that does not answer must not keep the others waiting."""

STALE = timedelta(days=3)
"""Mail that is older says nothing new any more."""

UNREADABLE = "The webhook’s secret cannot be read any more. Rotate it to get a new one."
SEALED = "Its link cannot be read any more. Send it again."
OFF = "The webhook is switched off."
TOO_OLD = "It waited for days while no mail was sent."
NO_END = "Sending it never came to an end."
OUR_FAULT = "Dataelan could not send it; the reason is in its log."


def deliver_forever(app: Flask, stopping: threading.Event) -> None:
    """Until the worker is asked to stop."""
    prune_at = time.monotonic()
    while not stopping.wait(EVERY):
        try:
            while due(app) == BATCH and not stopping.is_set():
                pass
            if time.monotonic() >= prune_at:
                prune_at = time.monotonic() + prune.EVERY
                with app.app_context():
                    prune.prune(db.session)
        except Exception:
            log.exception("deliveries will be looked at again")


def due(app: Flask) -> int:
    """Send what is due now, one batch of it. Returns how many were tried."""
    with app.app_context():
        claimed = claim(db.session) if waits(_WAITS) else []
    if claimed:
        with ThreadPoolExecutor(min(AT_ONCE, len(claimed)), thread_name_prefix="delivery") as pool:
            list(pool.map(lambda one: _in_context(app, *one), claimed))
    return len(claimed)


_WAITS = select(Delivery.id).where(Delivery.state == DeliveryState.WAITING, Delivery.next_at <= func.now()).limit(1)


def claim(session: DbSession) -> list[tuple[uuid.UUID, int]]:
    """Ids and fences of messages that are ours to send, for the length of a lease. Commits."""
    is_due = [Delivery.state == DeliveryState.WAITING, Delivery.next_at <= func.now()]
    if current_app.extensions["dataelan_settings"].mail is None:  # a worker takes what it can send
        is_due.append(Delivery.webhook_id.is_not(None))
    place = func.row_number().over(
        partition_by=(Delivery.webhook_id, Delivery.address), order_by=(Delivery.next_at, Delivery.id)
    )
    ranked = select(Delivery.id, place.label("place")).where(*is_due).subquery()
    first = select(ranked.c.id).where(ranked.c.place <= EACH)
    mine = (
        select(Delivery.id)
        .where(Delivery.id.in_(first), *is_due)
        .order_by(Delivery.next_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(
        update(Delivery)
        .where(Delivery.id.in_(mine))
        .values(tries=Delivery.tries + 1, next_at=func.now() + LEASE)
        .returning(Delivery.id, Delivery.tries)
        .execution_options(synchronize_session=False)
    ).all()
    session.commit()
    return [(row.id, row.tries) for row in rows]


def again(delivery: Delivery) -> Result | None:
    """A person wants it tried now: its tries begin anew, with this one. Commits."""
    delivery.state, delivery.tries, delivery.next_at = DeliveryState.WAITING, 1, now() + LEASE
    audit.record("delivery.retried", delivery, event=delivery.event)
    db.session.commit()
    return attempt(delivery.id, 1)


def send_test(webhook: Webhook) -> Result | None:
    """A message like any other, but sent at once, and tried once. Commits."""
    id, organization = new_id(), db.session.get_one(Organization, webhook.organization_id)
    word = Word(f"{TEST}:{id}", TEST, "A test of this webhook", "Nothing happened: somebody wanted to see it arrive.")
    db.session.add(
        Delivery(
            id=id,
            organization_id=organization.id,
            webhook_id=webhook.id,
            key=word.key,
            event=TEST,
            payload=payload(organization, word, {}),
            tries=1,
            next_at=now() + LEASE,
        )
    )
    audit.record("webhook.tested", webhook)
    db.session.commit()
    return attempt(id, 1)


def attempt(id: uuid.UUID, fence: int) -> Result | None:
    """Send one message that was claimed, and write what came of it. None: the claim is another's by now. Commits."""
    delivery = _claimed(id, fence)
    if delivery is None:
        return None
    is_last = fence >= MOST_TRIES or delivery.event == TEST
    try:
        send = _prepared(delivery) if fence <= MOST_TRIES else _never(NO_END)
        db.session.commit()  # from here on no connection is held
        result = send()
    except Exception:
        log.exception("delivery %s broke", id)
        db.session.rollback()
        result = Result(error=OUR_FAULT)
    _record(id, fence, result, is_last)
    return result


def message_id(delivery: Delivery) -> str:
    """What the receiver knows a message by, however often it is sent."""
    return f"msg_{delivery.id.hex}"


def _in_context(app: Flask, id: uuid.UUID, fence: int) -> None:
    try:
        with app.app_context():
            attempt(id, fence)
    except Exception:
        log.exception("what came of delivery %s could not be written; it is tried again", id)


def _claimed(id: uuid.UUID, fence: int) -> Delivery | None:
    return db.session.scalars(
        select(Delivery)
        .where(Delivery.id == id, Delivery.tries == fence, Delivery.state == DeliveryState.WAITING)
        .options(joinedload(Delivery.webhook))
        .execution_options(populate_existing=True)
    ).one_or_none()


def _prepared(delivery: Delivery) -> Callable[[], Result]:
    """All that is needed to send it, read from the database."""
    id, webhook = message_id(delivery), delivery.webhook
    if webhook is None:
        if now() - delivery.created_at > STALE:
            return _never(TOO_OLD)
        try:
            letter = mail.letter(id, delivery.address, letters.opened(delivery))
        except Unreadable:
            return _never(SEALED)
        return lambda: mail.send(letter)
    if not webhook.is_told:
        return _never(OFF)
    try:
        keys = webhooks.secrets_of(webhook)
    except Unreadable:
        return _never(UNREADABLE)
    url, said = webhook.url, in_order(delivery.payload)
    return lambda: posting.post_signed(url, said, keys, id)


def _never(why: str) -> Callable[[], Result]:
    return lambda: Result(error=why, is_final=True)


def _record(id: uuid.UUID, fence: int, result: Result, is_last: bool) -> None:
    is_over = result.is_delivered or result.is_final or is_last
    values: dict[str, Any] = {"status": result.status, "error": result.error}
    if result.is_delivered:
        values |= {"state": DeliveryState.DELIVERED, "delivered_at": now()}
    elif is_over:
        values |= {"state": DeliveryState.FAILED}
    else:
        values |= {"next_at": now() + pause(fence, result.after)}
    delivery = db.session.scalar(
        update(Delivery)
        .where(Delivery.id == id, Delivery.tries == fence, Delivery.state == DeliveryState.WAITING)
        .values(values)
        .returning(Delivery)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    if delivery is not None and is_over and not result.is_delivered:
        given_up(db.session, delivery, result)
    db.session.commit()


def pause(fence: int, after: float | None) -> timedelta:
    """How long to wait after this try, some more or less, so that what failed together does not come back together."""
    planned = PAUSES[min(fence, len(PAUSES)) - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    asked = timedelta(seconds=min(after or 0, LONGEST_PAUSE.total_seconds()))
    return max(planned, asked)
