"""An answer while it is being written: a Valkey stream an execution, from the one that runs it to all who watch.

An entry is one of: {t: text} {r: reasoning} {e: the end; PostgreSQL says how}. Its id is its
place, so a reader that lost its connection continues after the last id it saw. The stream is a convenience:
when it is gone, the stored result is served.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import redis

log = logging.getLogger(__name__)

EVERY = 0.03
"""Seconds between writes of one answer: 33 a second are as smooth to the eye as one a token, and far cheaper."""
KEPT = 3600
LONGEST = 4000
"""Entries kept of one stream: two minutes at full pace; the stored text has the rest."""


def key(execution_id: uuid.UUID) -> str:
    return f"live:{execution_id}"


@dataclass(frozen=True)
class Entry:
    id: str
    text: str = ""
    reasoning: str = ""
    ended: bool = False


class Writer:
    """One answer's pen. The first piece goes out at once, later ones together every EVERY seconds."""

    def __init__(self, store: redis.Redis, execution_id: uuid.UUID):
        self._store, self._key = store, key(execution_id)
        self._pending: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._flushed_at = 0.0

    def text(self, delta: str) -> None:
        self._add("t", delta)

    def reasoning(self, delta: str) -> None:
        self._add("r", delta)

    def end(self) -> None:
        self._add("e", "1")
        self.flush(expire=True)

    def _add(self, field: str, value: str) -> None:
        with self._lock:
            self._pending.append((field, value))
        if time.monotonic() - self._flushed_at >= EVERY:
            self.flush()
        else:
            _flusher.remember(self)

    def flush(self, *, expire: bool = False) -> None:
        with self._lock:
            pieces, self._pending = _joined(self._pending), []
            self._flushed_at = time.monotonic()
            if not pieces:
                return
            try:
                with self._store.pipeline(transaction=False) as pipeline:
                    for field, value in pieces:
                        pipeline.xadd(self._key, {field: value}, maxlen=LONGEST, approximate=True)
                    if expire:
                        pipeline.expire(self._key, KEPT)
                    pipeline.execute()
            except redis.RedisError:
                log.warning("an answer goes on unseen: Valkey is away")  # the stored result is still complete


def _joined(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Neighbours of one kind as one entry."""
    joined: list[tuple[str, str]] = []
    for field, value in pieces:
        if joined and joined[-1][0] == field and field in "tr":
            joined[-1] = (field, joined[-1][1] + value)
        else:
            joined.append((field, value))
    return joined


class _Flusher:
    """Writes what a provider's pause left pending: one thread for all answers of a process."""

    def __init__(self) -> None:
        self._writers: set[Writer] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._started = False

    def remember(self, writer: Writer) -> None:
        with self._lock:
            self._writers.add(writer)
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="live-flusher", daemon=True).start()
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            time.sleep(EVERY)
            with self._lock:
                writers, self._writers = self._writers, set()
            for writer in writers:
                writer.flush()


_flusher = _Flusher()


def follow(store: redis.Redis, execution_id: uuid.UUID, after: str = "0") -> Iterator[Entry | None]:
    """Entries after `after`, as they come; None every few seconds without one. Ends after the last entry.

    All that is already there comes as one entry, so that a reload costs one event and not a thousand.
    """
    while True:
        answer: Any = store.xread({key(execution_id): after}, block=5000, count=1000)
        if not answer:
            yield None
            continue
        entries = answer[0][1] if isinstance(answer, list) else next(iter(answer.values()))[0]
        entry = _merged(entries)
        after = entry.id
        yield entry
        if entry.ended:
            return


def written(store: redis.Redis, execution_id: uuid.UUID) -> Entry:
    """All that was written so far, as one entry: what a killed worker leaves behind."""
    entries: Any = store.xrange(key(execution_id))
    return _merged(entries) if entries else Entry("0")


def _merged(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> Entry:
    parts: dict[bytes, list[str]] = {b"t": [], b"r": [], b"e": []}
    for _, fields in entries:
        for field, value in fields.items():
            parts[field].append(value.decode())
    return Entry(entries[-1][0].decode(), "".join(parts[b"t"]), "".join(parts[b"r"]), bool(parts[b"e"]))
