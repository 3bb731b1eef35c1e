"""Ends that are written behind their answers: of a brief plain run its program need not wait until PostgreSQL has it.

The end is kept where the death of this process does not take it (spool.py), the answer is given, and some milliseconds
later the end is written, with all that came meanwhile, in one message. Until then what was held for the run is held: so
limits hold, and what is lost with a whole machine counts as a call whose answer nobody saw. What a process left is
written by a worker's sweeper that has the same data directory, or the next to serve, before its lease runs out.

Who has to know waits: a call that a limit refuses (at_once.py), and who asks for a run that goes on. And where the next
request may go on from an answer, or repeat it, its end is written before it (RunRecord.is_awaited).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from flask import Flask, current_app
from sqlalchemy.exc import DBAPIError

from ..spool import Spool, left_behind
from ..together import LARGEST, MOST
from . import at_once
from .at_once import Ending

log = logging.getLogger(__name__)

BRIEF = 0.5
"""Seconds that a run lasts whose end may be written behind: to whoever waited for longer it makes no difference."""
PAUSE = 0.01
"""Seconds in which others may come, and the answer is given. What fills a message (together.MOST) is all that waits:
who comes then, faster than the database writes, waits for its own end. Else many that were answered at once would ask
anew at once, and the processor would have nothing to do until they are answered."""
WITHIN, SOON = 0.25, 0.03
"""Seconds that somebody waits for what this process has not written yet, and until others have written theirs."""
DIRECTORY = "ends"


class Put(NamedTuple):
    """An end that is to be written."""

    end: Ending
    overran: Callable[[], None]
    """What is to be done where it came to more than was held."""
    otherwise: Callable[[], None]
    """… and where it could not be written, or nobody knows whether it was: to write it the long way."""


class Behind:
    """One process's ends that are not written yet. A thread writes them, from the first on."""

    def __init__(self, app: Flask, directory: Path):
        self._app, self._directory = app, directory
        self._queue, self._lock = SimpleQueue[Put](), threading.Lock()
        self._spool: Spool | None = None
        self._is_started = False
        self._put = self._written = 0
        self._news, self._hurry = threading.Condition(), threading.Event()

    def put(self, put: Put) -> bool:
        """False: it is to be waited for, as there is no room to keep it, or no place."""
        spool = self._spool if self._is_started else self._start()
        if spool is None or self.unwritten >= MOST:
            return False
        kept = put.end.run.encode()
        with self._lock:
            if not spool.keep(kept):
                return False
            self._put += 1
            self._queue.put(put)
        return True

    @property
    def unwritten(self) -> int:
        return self._put - self._written

    def flush(self) -> None:
        """What ended until now is written when this returns; for longer than WITHIN it is not waited for."""
        wanted = self._put
        if self._written < wanted:
            self._hurry.set()
            with self._news:
                self._news.wait_for(lambda: self._written >= wanted, WITHIN)

    def _start(self) -> Spool | None:
        with self._lock:
            if not self._is_started:
                self._spool, self._is_started = self._made(), True
                if self._spool:
                    threading.Thread(target=self._run, args=(self._spool,), name="ends", daemon=True).start()
            return self._spool

    def _made(self) -> Spool | None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Spool(self._directory)
        except OSError as error:
            log.warning("every end is waited for, as none can be kept in %s: %s", self._directory, error)
            return None

    def _run(self, spool: Spool) -> None:
        with self._app.app_context():
            self._do(write_left)  # where no worker does
            while True:
                batch = [self._queue.get()]
                self._hurry.wait(PAUSE)
                self._hurry.clear()
                with self._lock:
                    spool.turn()
                    batch += self._waiting()
                while batch:
                    some, batch = _together(batch)
                    self._write(some)
                spool.forget()

    def _waiting(self) -> list[Put]:
        found = list[Put]()
        while True:
            try:
                found.append(self._queue.get_nowait())
            except Empty:
                return found

    def _write(self, some: list[Put]) -> None:
        """Never raises. What fails of several is written alone, and what fails alone the long way, which may take as
        long as the database is away. Until then it is kept, and who ends meanwhile waits for its own."""
        try:
            settled = at_once.end_all([put.end for put in some])
        except Exception as error:
            if len(some) > 1 and isinstance(error, DBAPIError) and not error.connection_invalidated:
                for put in some:
                    self._write([put])
                return
            for put in some:  # the first waits for the database, and the others no more
                self._do(put.otherwise)
        else:
            for put, one in zip(some, settled, strict=True):
                if one.is_over:
                    self._do(put.overran)
        self._has_written(len(some))

    def _do(self, what: Callable[[], object]) -> None:
        try:
            with self._app.app_context():
                what()
        except Exception:
            log.exception("the end of a run that was answered could not be written")

    def _has_written(self, number: int) -> None:
        with self._news:
            self._written += number
            self._news.notify_all()


def _together(puts: list[Put]) -> tuple[list[Put], list[Put]]:
    """(those that go in the next message, all others)"""
    size, number = len(puts[0].end.run), 1
    while number < min(len(puts), MOST) and (size := size + len(puts[number].end.run)) <= LARGEST:
        number += 1
    return puts[:number], puts[number:]


def write_left() -> int:
    """What processes that are gone had kept. Returns how many ends that was. Raises SQLAlchemyError where one cannot be
    written now; what is left then stays."""
    written = 0
    for left in left_behind(_directory(current_app)):
        for kept in left.read():
            written += _write_one(kept)
        left.remove()
    if written:
        log.warning("wrote the ends of %s runs of a process that is gone", written)
    return written


def _write_one(kept: bytes) -> bool:
    """False: it was written, or what died without it was brought to another end."""
    try:
        at_once.end_all([Ending.read(kept.decode())])
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != at_once.NOT_OURS:
            raise
        return False
    return True


def allow(app: Flask) -> None:
    """For a process that serves programs."""
    app.extensions["dataelan_behind"] = Behind(app, _directory(app))


def of(app: Flask) -> Behind | None:
    """This process's; None: every end is waited for."""
    found: Behind | None = app.extensions.get("dataelan_behind")
    return found


def wait() -> bool:
    """Until what was answered by now is written, mostly. False: nothing is behind. Nobody who waits here may have
    written something: what is to be written may need what that has locked."""
    ends = of(current_app)
    if ends is None:
        return False
    ends.flush()
    time.sleep(SOON)
    return True


def _directory(app: Flask) -> Path:
    settings: Any = app.extensions["dataelan_settings"]
    return Path(settings.data_dir) / DIRECTORY
