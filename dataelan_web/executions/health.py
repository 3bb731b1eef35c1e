"""The health of all models and keys, in Valkey, shared by every worker. The rules are in router/health.py.

A pair's statistics are one string, a key's rest another; both go when nothing was written for a day. Python computes
the next value, and a script puts it only where the one it was computed from still stands. A call in flight is a
member of one sorted set, with the time until which its process has vouched for it, and is counted in a hash; what
a killed process leaves behind is taken off both by the next reader.

A prompt waits only for reading, and no longer than SLOWEST; what was just read will do for the next as well. One thread
a process writes, with more patience: however many calls end at once, that takes a few round trips, and they do not race
each other. It gathers what goes well for a moment, and hurries with what does not, for others are to heed that.

Valkey may be empty (then nothing was ever measured) or away: then reads find nothing, writes are dropped, and for a
moment it is not asked again.
"""

from __future__ import annotations

import json
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

import redis
from redis.commands.core import Script

from ..extensions import one_of_each
from ..jobs.queue import store, within
from ..router.health import KEYS_OWN, Observation, Pair, Vital
from ..router.types import Kind
from .health_form import (
    BEGIN,
    CALLS,
    COUNTS,
    END,
    PUT,
    READ,
    Learnt,
    Names,
    changed,
    key_name,
    names_of,
    pair_name,
    vital_of,
)

log = logging.getLogger(__name__)

SLOWEST = 0.05
"""Seconds that Valkey has to answer a prompt."""
SLOWEST_WRITE = 1.0
LEFT_ALONE = 2.0
"""Seconds in which it is not asked after it gave none."""
CLOCK_KEPT = 60.0
"""Seconds after which Valkey is asked anew what time it is."""
VOUCHED = 60.0
VOUCH_EVERY = 20.0
TRIES = 10
GATHERED = 0.1
"""Seconds that a note waits for others, and that what was read will do: a call's worth of news is hardly older."""
KEPT = 64
"""Choices whose pairs were just read: with one alone, calls of two models would each ask anew."""
NO_MODEL = UUID(int=0)
"""Beside a key of which something was learnt outside a call."""
AT_ONCE = 1000
"""Pairs a script is asked for; Lua takes no more than some thousands of values."""

_Call = tuple[Script, Sequence[str], Sequence[Any]]
"""Of a script, with its keys and values."""


@dataclass
class _Line:
    """A way to Valkey, with a patience of its own."""

    valkey: redis.Redis
    asked_again_at: float = 0.0


class _Clock:
    """Valkey's, as it was last heard and by the process's own steady one since: health is shared by all machines, and
    one whose clock is wrong must not rest a model for the others for a day."""

    def __init__(self, ask: Callable[[], tuple[int, int] | None]):
        self._ask, self._ahead, self._asked_at = ask, time.time() - time.monotonic(), -math.inf

    def __call__(self) -> float:
        if time.monotonic() > self._asked_at + CLOCK_KEPT:
            self._asked_at = time.monotonic()
            if answer := self._ask():
                self._ahead = answer[0] + answer[1] / 1e6 - time.monotonic()
        return time.monotonic() + self._ahead


class _Note(NamedTuple):
    """Something to be written."""

    pair: Pair
    call_id: UUID | None
    """None: it was learnt outside a call."""
    at: float
    observation: Observation | None = None
    """None: the call has begun."""


@dataclass(frozen=True)
class _Read:
    found: Mapping[Pair, Vital]
    until: float


class ValkeyHealth:
    """What router.health.Health asks for. Safe to use from many threads."""

    def __init__(self, valkey: redis.Redis, clock: Callable[[], float] | None = None):
        self._quick, self._patient = _Line(within(SLOWEST, valkey)), _Line(within(SLOWEST_WRITE, valkey))
        self.now = self._clock = clock or _Clock(lambda: self._ask(self._quick, self._quick.valkey.time))
        self._read = self._quick.valkey.register_script(READ)
        self._begin, self._end, self._put = map(self._patient.valkey.register_script, (BEGIN, END, PUT))
        self._notes = queue.SimpleQueue[_Note | threading.Event]()
        """And whoever waits until all before it is written."""
        self._open: set[str] = set()
        self._lock = threading.Lock()
        self._is_writing = self._is_away = False
        self._hurry = threading.Event()
        self._just_read: dict[frozenset[Pair], _Read] = {}

    def read(self, pairs: Iterable[Pair]) -> Mapping[Pair, Vital]:
        """In one round trip for up to AT_ONCE pairs; in none where the same were read a moment ago."""
        asked = pairs if isinstance(pairs, frozenset) else tuple(pairs)
        key, wanted, found = frozenset(asked), iter(asked), dict[Pair, Vital]()
        last = self._just_read.get(key)
        if last and time.monotonic() < last.until:
            return last.found
        while some := list(islice(wanted, AT_ONCE)):
            found |= self._found(some)
        if len(self._just_read) >= KEPT:
            self._just_read.clear()
        self._just_read[key] = _Read(found, time.monotonic() + GATHERED)
        return found

    def begin(self, pair: Pair, call_id: UUID) -> None:
        self._take(_Note(pair, call_id, self._clock()))

    def end(self, pair: Pair, call_id: UUID, observation: Observation) -> None:
        self._take(_Note(pair, call_id, self._clock(), observation))

    def rest_key(self, key_id: UUID, kind: Kind, retry_after: float | None = None) -> None:
        """Other kinds than CREDENTIAL and BILLING say nothing about a key."""
        if kind in KEYS_OWN:
            self._take(_Note((NO_MODEL, key_id), None, self._clock(), Observation(kind, retry_after=retry_after)))

    def wake_key(self, key_id: UUID) -> None:
        self.settle()
        self._ask(self._patient, lambda: self._patient.valkey.delete(key_name(key_id)))

    def settle(self) -> None:
        """Wait until all that was noted so far is written, or dropped."""
        if self._is_writing:
            is_written = threading.Event()
            self._notes.put(is_written)
            self._hurry.set()
            is_written.wait()
        self._just_read.clear()

    # -- reading ---------------------------------------------------------------------------------

    def _found(self, pairs: Sequence[Pair]) -> dict[Pair, Vital]:
        keys = [key_name(key, model) for model, key in pairs]
        places = {name: len(pairs) + place for place, name in enumerate(dict.fromkeys(keys))}
        names = " ".join(map(pair_name, pairs)), " ".join(places)
        answer = self._ask(self._quick, lambda: self._read([CALLS, COUNTS], [self._clock(), *names]))
        if answer is None:
            return {}
        values, counts = json.loads(answer)
        found = {}
        for pair, key, value, count in zip(pairs, keys, values, counts, strict=False):
            rest = values[places[key]]
            if value or rest or count:
                found[pair] = vital_of(value, rest, count)
        return found

    def _ask(self, line: _Line, ask: Callable[[], Any]) -> Any:
        """None where Valkey is away."""
        if time.monotonic() < line.asked_again_at:
            return None
        try:
            answer = ask()
        except redis.RedisError as error:
            line.asked_again_at = time.monotonic() + LEFT_ALONE
            with self._lock:
                is_news, self._is_away = not self._is_away, True
            if is_news:
                log.warning("choosing goes on without health statistics: Valkey is away (%s)", error)
            return None
        self._is_away = False
        return answer

    # -- writing ---------------------------------------------------------------------------------

    def _take(self, note: _Note) -> None:
        if not self._is_writing:
            self._begin_to_write()
        self._notes.put(note)
        if note.observation is not None and note.observation.kind is not None:
            self._hurry.set()

    def _begin_to_write(self) -> None:
        with self._lock:
            if not self._is_writing:
                self._is_writing = True
                threading.Thread(target=self._write_forever, name="health", daemon=True).start()

    def _write_forever(self) -> None:
        vouched_at = time.monotonic()
        while True:
            taken = self._taken(vouched_at + VOUCH_EVERY - time.monotonic())
            try:
                self._write([one for one in taken if isinstance(one, _Note)])
                if time.monotonic() >= vouched_at + VOUCH_EVERY:
                    vouched_at = time.monotonic()
                    self.vouch()
            except Exception:  # this thread must not end: nothing would be learnt any more
                log.exception("health statistics could not be written")
            self._last = None
            for one in taken:
                if isinstance(one, threading.Event):
                    one.set()

    def _taken(self, patience: float) -> list[_Note | threading.Event]:
        """What comes within `patience` seconds, with what comes in the moment after it."""
        taken = []
        try:
            taken.append(self._notes.get(timeout=max(patience, 0)))
            self._hurry.wait(GATHERED)
            self._hurry.clear()
            while len(taken) < AT_ONCE:
                taken.append(self._notes.get_nowait())
        except queue.Empty:
            pass
        return taken

    def _write(self, notes: Sequence[_Note]) -> None:
        """A call that began and ended in these notes was never in flight for anybody else. What is kept of a pair is
        read once, however many calls of it ended."""
        begun = {note.call_id for note in notes if note.observation is None}
        brief = begun & {note.call_id for note in notes if note.observation}
        named = {pair: names_of(pair) for pair in {note.pair for note in notes}}
        asked, learnt, calls = list[Names | None](), dict[Names, list[Learnt]](), list[_Call]()
        for note in notes:
            is_brief = note.call_id in brief
            if is_brief and note.observation is None:
                continue
            names = named[note.pair]
            call = "" if is_brief or note.call_id is None else f"{names[0]} {note.call_id.hex}"
            if note.observation is None:
                self._open.add(call)
                calls.append((self._begin, [CALLS, COUNTS, names[0]], [call, note.at + VOUCHED]))
                asked.append(None)
                continue
            is_read = names in learnt
            learnt.setdefault(names, []).append((note.observation, note.at))
            if not (is_read and is_brief):
                self._open.discard(call)
                calls.append((self._end, [CALLS, COUNTS, *names], [call]))
                asked.append(names)
        answers = self._told(calls)
        if answers is not None:
            self._learn(learnt, {names: found for names, found in zip(asked, answers, strict=True) if names})

    def _learn(self, learnt: Mapping[Names, Sequence[Learnt]], found: dict[Names, list[bytes | None]]) -> None:
        """Put what was learnt into what was found. Who loses a race TRIES times gives up, but not a rest."""
        for tries_left in reversed(range(TRIES)):
            changes = {
                names: changed(values, learnt[names], is_last_try=not tries_left) for names, values in found.items()
            }
            put = {names: change for names, change in changes.items() if change}
            answers = self._told([(self._put, names, change) for names, change in put.items()])
            if not answers:
                return
            found = {names: answer for names, answer in zip(put, answers, strict=True) if answer is not None}

    def _told(self, calls: Sequence[_Call]) -> list[Any] | None:
        """What the scripts answer, in one round trip, or in a few more where Valkey does not know them: then some run
        twice. None where it is away, or nothing was to be asked."""
        return self._ask(self._patient, lambda: self._called(calls)) if calls else None

    def _called(self, calls: Sequence[_Call]) -> list[Any]:
        try:
            return self._sent(calls)
        except redis.exceptions.NoScriptError:
            for script in (self._begin, self._end, self._put):
                self._patient.valkey.script_load(script.script)
            return self._sent(calls)

    def _sent(self, calls: Sequence[_Call]) -> list[Any]:
        # Past Script's own way, which asks before each pipeline whether Valkey knows it.
        with self._patient.valkey.pipeline(transaction=False) as pipeline:
            for script, keys, values in calls:
                pipeline.evalsha(script.sha, len(keys), *keys, *values)
            return pipeline.execute()

    def vouch(self) -> None:
        """The calls that this process has open are still being made."""
        if self._open:
            until = self._clock() + VOUCHED
            self._ask(
                self._patient, lambda: self._patient.valkey.zadd(CALLS, dict.fromkeys(self._open, until), xx=True)
            )


@one_of_each("dataelan_health")
def health() -> ValkeyHealth:
    """This application's."""
    return ValkeyHealth(store())
