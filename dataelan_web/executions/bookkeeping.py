"""Do the limits agree with the ledger? One worker looks once a minute, and says what it finds; it mends nothing."""

from __future__ import annotations

import contextlib
import logging
import time
from datetime import timedelta

import redis

from .. import quota
from ..extensions import db
from ..jobs.queue import store

log = logging.getLogger(__name__)

TURN = "dataelan:books"
EVERY = 60
SHARE = 20
"""Looking takes at most a twentieth of the time: where the books are thick, it is done less often."""
RECENT = timedelta(days=1)
"""Windows that ended earlier are charged by nobody any more; `flask ledger verify` reads those too."""


def check_books() -> list[quota.Drift]:
    """What drifted, logged; nothing when it is not this worker's turn. Ends the transaction."""
    try:
        if not store().set(TURN, 1, nx=True, ex=EVERY):
            return []
    except redis.RedisError:
        return []  # it will be somebody's turn when Valkey is back
    began = time.monotonic()
    found = quota.drift(db.session, ended_after=RECENT)
    db.session.rollback()
    for one in found:
        log.error("ledger.drift %s", one)
    with contextlib.suppress(redis.RedisError):
        store().expire(TURN, max(EVERY, round(SHARE * (time.monotonic() - began))))
    return found
