"""What becomes of a call whose program goes away while it is answered: a project's setting.

It is ended at its provider, and what came is charged by a high estimate; or it is read on to its end, by a thread of
its own, so that its record and its cost are the true ones. Reading on is bounded in time and in number: beyond, it is
ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from flask import Flask, Response
from sqlalchemy.exc import SQLAlchemyError

from ..extensions import db
from ..models import journal
from ..models.records import RunRecord
from ..router.room import Share
from ..router.types import Event, Failure

log = logging.getLogger(__name__)

LONGEST = 120.0
"""Seconds that an answer is read on for nobody."""
MOST = 64
"""Answers that a process reads on at once."""
NOTICE = "The program went away before its answer was whole. It was read to its end, as this project wishes."

PIECE = 256 * 1024
"""Bytes that the server is handed at once: it takes the next when they are on their way."""

_places = threading.BoundedSemaphore(MOST)


def on_leaving(app: Flask, execution: RunRecord, events: Iterator[Event], *, reads_on: bool) -> Callable[[], None]:
    """For the end of a response, which may be that of its reader's patience. Safe where all was read."""

    def end() -> None:
        is_over = not execution.is_open
        if reads_on and not is_over and _places.acquire(blocking=False):
            # No daemon: a process that leaves waits for it, until what it has to say is written.
            threading.Thread(target=_read_on, args=(app, execution, events), name="reads-on", daemon=False).start()
            return
        with app.app_context():
            events.close()  # type: ignore[attr-defined]

    return end


def _read_on(app: Flask, execution: RunRecord, events: Iterator[Event]) -> None:
    until, execution.is_awaited = time.monotonic() + LONGEST, True  # for there is more to say of it
    try:
        with app.app_context():
            try:
                for _ in events:
                    if time.monotonic() > until:
                        break
                else:
                    journal.say(db.session, execution, notice=NOTICE)
                    db.session.commit()
            except Failure:
                log.info("execution %s failed while it was read on", execution.id)
            except SQLAlchemyError:
                log.exception("execution %s does not say that it was read on", execution.id)
            finally:
                events.close()  # type: ignore[attr-defined]
    finally:
        _places.release()


def holding(response: Response, share: Share) -> None:
    """What a whole answer takes of this process's memory is given back when it has gone on its way. A large one is
    handed over in pieces, for that to be known: at once, it would lie with the server for as long as its reader
    likes."""
    body = response.get_data()
    share.shrink(len(body) if len(body) > PIECE else 0)
    if len(body) > PIECE:
        response.content_length = len(body)
        response.response = slices(body)
    response.call_on_close(share.give_back)


def slices(body: bytes) -> Iterator[bytes]:
    return (body[start : start + PIECE] for start in range(0, len(body), PIECE))
