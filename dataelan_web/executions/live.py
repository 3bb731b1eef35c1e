"""An answer while it is being written: a Valkey stream an execution, from the one that runs it to all who watch.

An entry is one of: {t: text} {r: reasoning} {p: how far a job is} {e: the end; PostgreSQL says how} {a: anew: what
came before does not count, all is told once more}. Its id is its place, so a reader that lost its connection continues
after the last id it saw. The stream is a convenience: when it is gone, the stored result is served.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import redis

log = logging.getLogger(__name__)

TEXT, REASONING = "t", "r"

EVERY = 0.05
"""Seconds between writes of one answer: 20 a second are as smooth to the eye as one a token, and far cheaper."""
AWAY = 1.0
"""Seconds after which Valkey is tried again."""
KEPT = 300
"""Seconds that it stays after its end, for a reader that is about to come back. PostgreSQL has it all by then."""
LONGEST = 32_000
"""Entries kept of one stream: as many as the longest call can fill."""
LARGEST = 4 * 1024 * 1024
"""Characters that are told of one answer. More nobody reads while it is written; the end brings it all."""
WAIT_MS = 3000
"""How long one read waits for more: less than queue.ANSWERS_WITHIN."""


def key(execution_id: uuid.UUID) -> str:
    return f"live:{execution_id}"


@dataclass(frozen=True)
class Entry:
    id: str
    text: str = ""
    reasoning: str = ""
    progress: str = ""
    """The latest word: a share from 0 to 1 or nothing, a space, and the provider's word for the state."""
    ended: bool = False
    is_anew: bool = False
    """It holds all there is so far, whatever a reader has seen of it."""


class Writer:
    """One answer's pen. The first piece and the end go out at once, what is between every EVERY seconds.

    One that is `silent_for` some seconds writes nothing before: an answer that nobody watches is written only that its
    words outlive the process, which for a short one is not worth a round trip."""

    def __init__(self, store: redis.Redis, execution_id: uuid.UUID, silent_for: float = 0.0):
        self.store, self._id = store, execution_id
        self._speaks_at = time.monotonic() + silent_for
        self._pending: list[tuple[str, str]] = []
        self._told: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._started = self._is_posted = False
        self._size = 0

    @property
    def key(self) -> str:
        return key(self._id)

    def progress(self, share: float | None, note: str) -> None:
        self.add("p", f"{'' if share is None else round(share, 3)} {note[:200]}")

    def end(self) -> None:
        if self._started or time.monotonic() >= self._speaks_at:
            self.add("e", "1")

    def add(self, field: str, value: str) -> None:
        self._size += len(value)
        if self._size > LARGEST and field != "e":
            return
        with self._lock:
            self._pending.append((field, value))
            if not self._started and time.monotonic() < self._speaks_at:
                return
            is_urgent, self._started = field == "e" or not self._started, True
            is_known, self._is_posted = self._is_posted, True
        if is_urgent or not is_known:
            _post.take(self, is_urgent)

    def write(self, pipeline: Any) -> None:
        """Put what is pending into a pipeline. Only the post office calls this, so pieces keep their order.

        What goes on where something was told is answered by None if that is gone: Valkey was away and came back empty,
        and the connection was made anew without a word."""
        with self._lock:
            pieces, self._pending, self._is_posted = _joined(self._pending), [], False
            goes_on = bool(self._told)
            self._told += pieces
        for field, value in pieces:
            pipeline.xadd(self.key, {field: value}, maxlen=LONGEST, approximate=True, nomkstream=goes_on)
            if field == "e":
                pipeline.expire(self.key, KEPT)

    def tell_anew(self) -> None:
        """Nobody knows what became of the pieces just written, or of those before: Valkey may have been started anew.
        After the end that matters no more, as PostgreSQL has it all."""
        with self._lock:
            pieces, self._told = [*self._told, *self._pending], []
            if ended := any(field == "e" for field, _ in pieces):
                pieces = []
            texts = {kind: "".join(value for field, value in pieces if field == kind) for kind in "rt"}
            self._pending = [("a", "1"), *((kind, text) for kind, text in texts.items() if text)]
            self._pending += [("e", "1")] if ended else []


def _joined(pieces: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """As one, what came of a kind one after the other; of how far a job is, each."""
    joined = list[tuple[str, str]]()
    for field, same in groupby(pieces, key=itemgetter(0)):
        values = [value for _, value in same]
        joined += [(field, value) for value in (values if field == "p" else ("".join(values),))]
    return joined


class _PostOffice:
    """Sends the pieces of all answers of a process: one thread, one round trip for however many are being written."""

    def __init__(self) -> None:
        self._waiting: dict[Writer, None] = {}
        self._lock = threading.Lock()
        self._something, self._urgent = threading.Event(), threading.Event()
        self._started = self._is_away = False

    def take(self, writer: Writer, is_urgent: bool) -> None:
        with self._lock:
            self._waiting[writer] = None
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="live", daemon=True).start()
        if is_urgent:
            self._urgent.set()
        self._something.set()

    def _run(self) -> None:
        pause = EVERY
        while True:
            self._something.wait()
            self._urgent.wait(pause)
            self._urgent.clear()
            self._something.clear()
            started = time.monotonic()
            try:
                self._send()
            except Exception:  # this thread must not end: every answer of the process depends on it
                log.exception("pieces of answers could not be sent")
            # Under load the pauses grow with the work, so that sending never takes more than a fifth of the time.
            pause = max(EVERY, 4 * (time.monotonic() - started))
            if self._is_away:
                time.sleep(AWAY)

    def _send(self) -> None:
        with self._lock:
            writers, self._waiting = list(self._waiting), {}
        for store in {id(writer.store): writer.store for writer in writers}.values():
            mine = [writer for writer in writers if writer.store is store]
            try:
                unheard = self._written(store, mine)
                self._is_away = False
            except redis.RedisError as error:
                if not self._is_away:
                    log.warning("answers go on unseen: Valkey is away (%s)", error)
                self._is_away, unheard = True, mine
            for writer in unheard:
                writer.tell_anew()
                self.take(writer, False)

    def _written(self, store: redis.Redis, writers: list[Writer]) -> list[Writer]:
        """Those of which Valkey has forgotten the beginning. Raises RedisError."""
        ends = []
        with store.pipeline(transaction=False) as pipeline:
            for writer in writers:
                writer.write(pipeline)
                ends.append(len(pipeline))
            answers = pipeline.execute()
        parts = [answers[start:end] for start, end in pairwise([0, *ends])]
        return [writer for writer, part in zip(writers, parts, strict=True) if None in part]


_post = _PostOffice()


def follow(
    store: redis.Redis, execution_id: uuid.UUID, after: str = "0", *, wait: bool = True
) -> Iterator[Entry | None]:
    """Entries after `after`, as they come; None every few seconds without one. Ends after the last entry, or,
    without `wait`, with what is there.

    All that is already there comes as one entry, so that a reload costs one event and not a thousand.
    """
    while True:
        answer: Any = store.xread({key(execution_id): after}, block=WAIT_MS if wait else None, count=1000)
        if not answer and not wait:
            return
        if not answer:
            yield None
            continue
        entries = answer[0][1] if isinstance(answer, list) else next(iter(answer.values()))[0]
        entry = _merged(entries)
        after = entry.id
        yield entry
        if entry.ended:
            return


def written(store: redis.Redis, execution_id: uuid.UUID, until: str = "+") -> Entry:
    """All that was written so far, or until an entry, as one: what a killed worker leaves behind."""
    entries: Any = store.xrange(key(execution_id), max=until)
    return _merged(entries) if entries else Entry("0")


def _merged(entries: list[tuple[bytes, dict[bytes, bytes]]]) -> Entry:
    parts: dict[bytes, list[str]] = {b"t": [], b"r": [], b"p": [""], b"e": [], b"a": []}
    for _, fields in entries:
        for field, value in fields.items():
            if field == b"a":
                parts[b"t"], parts[b"r"] = [], []
            parts[field].append(value.decode())
    return Entry(
        entries[-1][0].decode(),
        "".join(parts[b"t"]),
        "".join(parts[b"r"]),
        parts[b"p"][-1],
        ended=bool(parts[b"e"]),
        is_anew=bool(parts[b"a"]),
    )


def follow_all(store: redis.Redis, after: dict[uuid.UUID, str]) -> Iterator[dict[uuid.UUID, Entry]]:
    """Entries of several answers as they come, by execution; an empty dict every few seconds without any. Whoever
    takes an id out of `after` hears no more of it; ends when none is left. `after` is kept up to date."""
    ids = {key(id).encode(): id for id in after}
    while after:
        answer: Any = store.xread({key(id): place for id, place in after.items()}, block=2000, count=1000)
        pairs = answer if isinstance(answer, list) else [(name, found[0]) for name, found in (answer or {}).items()]
        said = {ids[name]: _merged(entries) for name, entries in pairs}
        after.update({id: entry.id for id, entry in said.items()})
        yield said
