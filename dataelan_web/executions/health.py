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
from functools import reduce
from typing import Any, cast
from uuid import UUID

import redis
from flask import current_app

from ..jobs.queue import store, within
from ..router.health import KEYS_OWN, RESTED, Observation, Pair, Rest, Vital, observed
from ..router.types import Kind

log = logging.getLogger(__name__)

PREFIX = "health:1:"
"""The number changes with the form of what is kept."""
CALLS, COUNTS = f"{PREFIX}calls", f"{PREFIX}counts"
KEPT = 86400
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
GATHERED = 0.05
"""Seconds that a note waits for others, and that what was read will do: a call's worth of news is hardly older."""
AT_ONCE = 1000
"""Pairs a script is asked for; Lua takes no more than some thousands of values."""

_FORGET = """
local function forget(call, pair)
  if call ~= '' and redis.call('ZREM', KEYS[1], call) == 1 and redis.call('HINCRBY', KEYS[2], pair, -1) <= 0 then
    redis.call('HDEL', KEYS[2], pair)
  end
end
"""
# The names come as two texts, for the client is slow with lists. The first are of pairs, the others of keys' rests.
READ = f"""{_FORGET}
local pair_names, names = {{}}, {{}}
for name in string.gmatch(ARGV[2], '%S+') do table.insert(pair_names, name); table.insert(names, name) end
for name in string.gmatch(ARGV[3], '%S+') do table.insert(names, name) end
for _, call in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 1000)) do
  forget(call, string.match(call, '^%S+'))
end
local values = redis.call('MGET', unpack(names))
for place = 1, #values do values[place] = values[place] or 'null' end
local counts = redis.call('HMGET', KEYS[2], unpack(pair_names))
for place = 1, #counts do counts[place] = counts[place] or '0' end
return '[[' .. table.concat(values, ',') .. '],[' .. table.concat(counts, ',') .. ']]'
"""
BEGIN = """
if redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) == 1 then redis.call('HINCRBY', KEYS[2], KEYS[3], 1) end
"""
END = f"""{_FORGET}
forget(ARGV[1], KEYS[3])
return redis.call('MGET', KEYS[3], KEYS[4])
"""
PUT = """
local found = redis.call('MGET', KEYS[1], KEYS[2])
for place = 1, 2 do
  if (found[place] or '') ~= ARGV[place] and ARGV[5] ~= 'anyway' then return found end
end
for place = 1, 2 do
  if ARGV[place + 2] ~= ARGV[place] then
    if ARGV[place + 2] == '' then
      redis.call('DEL', KEYS[place])
    else
      redis.call('SET', KEYS[place], ARGV[place + 2], 'EX', ARGV[6])
    end
  end
end
return false
"""


Names = tuple[str, str]
"""Of a pair's value and of its key's rest."""
_Learnt = tuple[Observation, float]
"""And when."""


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


@dataclass(frozen=True)
class _Note:
    """Something to be written. `call` is empty for what was learnt outside a call."""

    names: Names
    call: str
    at: float
    observation: Observation | None = None
    """None: the call has begun."""

    @property
    def is_urgent(self) -> bool:
        return self.observation is not None and self.observation.kind is not None


@dataclass(frozen=True)
class _Read:
    pairs: Sequence[Pair]
    found: Mapping[Pair, Vital]
    until: float


class ValkeyHealth:
    """What router.health.Health asks for. Safe to use from many threads."""

    def __init__(self, valkey: redis.Redis, clock: Callable[[], float] | None = None):
        self._quick, self._patient = _Line(within(SLOWEST, valkey)), _Line(within(SLOWEST_WRITE, valkey))
        self.now = self._clock = clock or _Clock(lambda: self._ask(self._quick, self._quick.valkey.time))
        self._read = self._quick.valkey.register_script(READ)
        self._begin, self._end, self._put = map(self._patient.valkey.register_script, (BEGIN, END, PUT))
        self._notes = queue.Queue[_Note]()
        self._open: set[str] = set()
        self._lock = threading.Lock()
        self._is_writing = self._is_away = False
        self._hurry = threading.Event()
        self._last: _Read | None = None

    def read(self, pairs: Iterable[Pair]) -> Mapping[Pair, Vital]:
        """In one round trip for up to AT_ONCE pairs; in none where the same were read a moment ago."""
        wanted, found, last = list(pairs), dict[Pair, Vital](), self._last
        if last and last.pairs == wanted and time.monotonic() < last.until:
            return last.found
        for start in range(0, len(wanted), AT_ONCE):
            found |= self._found(wanted[start : start + AT_ONCE])
        self._last = _Read(wanted, found, time.monotonic() + GATHERED)
        return found

    def begin(self, pair: Pair, call_id: UUID) -> None:
        names = _names(pair)
        self._take(_Note(names, f"{names[0]} {call_id.hex}", self._clock()))

    def end(self, pair: Pair, call_id: UUID, observation: Observation) -> None:
        names = _names(pair)
        self._take(_Note(names, f"{names[0]} {call_id.hex}", self._clock(), observation))

    def rest_key(self, key_id: UUID, kind: Kind, retry_after: float | None = None) -> None:
        """Other kinds than CREDENTIAL and BILLING say nothing about a key."""
        if kind in KEYS_OWN:
            names = f"{PREFIX}no-model", _key_name(key_id)
            self._take(_Note(names, "", self._clock(), Observation(kind, retry_after=retry_after)))

    def wake_key(self, key_id: UUID) -> None:
        self.settle()
        self._ask(self._patient, lambda: self._patient.valkey.delete(_key_name(key_id)))

    def settle(self) -> None:
        """Wait until all that was noted so far is written, or dropped."""
        self._hurry.set()
        self._notes.join()
        self._last = None

    # -- reading ---------------------------------------------------------------------------------

    def _found(self, pairs: Sequence[Pair]) -> dict[Pair, Vital]:
        key_names = [_key_name(key, model) for model, key in pairs]
        places = {name: len(pairs) + place for place, name in enumerate(dict.fromkeys(key_names))}
        names = " ".join(map(_pair_name, pairs)), " ".join(places)
        answer = self._ask(self._quick, lambda: self._read([CALLS, COUNTS], [self._clock(), *names]))
        if answer is None:
            return {}
        values, counts = json.loads(answer)
        found = {}
        for pair, key_name, value, count in zip(pairs, key_names, values, counts, strict=False):
            rest = values[places[key_name]]
            if value or rest or count:
                found[pair] = _vital(value, rest, count)
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
        with self._lock:
            if not self._is_writing:
                self._is_writing = True
                threading.Thread(target=self._write_forever, name="health", daemon=True).start()
        self._notes.put(note)
        if note.is_urgent:
            self._hurry.set()

    def _write_forever(self) -> None:
        vouched_at = time.monotonic()
        while True:
            notes = self._taken(vouched_at + VOUCH_EVERY - time.monotonic())
            try:
                self._write(notes)
                if time.monotonic() >= vouched_at + VOUCH_EVERY:
                    vouched_at = time.monotonic()
                    self.vouch()
            except Exception:  # this thread must not end: nothing would be learnt any more
                log.exception("health statistics could not be written")
            self._last = None
            for _ in notes:
                self._notes.task_done()

    def _taken(self, patience: float) -> list[_Note]:
        """What comes within `patience` seconds, with what comes in the moment after it."""
        notes = []
        try:
            notes.append(self._notes.get(timeout=max(patience, 0)))
            self._hurry.wait(GATHERED)
            self._hurry.clear()
            while len(notes) < AT_ONCE:
                notes.append(self._notes.get_nowait())
        except queue.Empty:
            pass
        return notes

    def _write(self, notes: Sequence[_Note]) -> None:
        """A call that began and ended in these notes was never in flight for anybody else. What is kept of a pair is
        read once, however many calls of it ended."""
        begun = {note.call for note in notes if note.observation is None}
        brief = begun & {note.call for note in notes if note.observation}
        asked, learnt = list[Names | None](), dict[Names, list[_Learnt]]()
        with self._patient.valkey.pipeline(transaction=False) as pipeline:
            for note in notes:
                if note.observation is None:
                    if note.call not in brief:
                        self._open.add(note.call)
                        self._begin([CALLS, COUNTS, note.names[0]], [note.call, note.at + VOUCHED], pipeline)
                        asked.append(None)
                    continue
                is_read = note.names in learnt
                learnt.setdefault(note.names, []).append((note.observation, note.at))
                if not (is_read and note.call in brief):
                    self._open.discard(note.call)
                    self._end([CALLS, COUNTS, *note.names], ["" if note.call in brief else note.call], pipeline)
                    asked.append(note.names)
            answers = self._ask(self._patient, pipeline.execute) if asked else None
        if answers is not None:
            self._learn(learnt, {names: found for names, found in zip(asked, answers, strict=True) if names})

    def _learn(self, learnt: Mapping[Names, Sequence[_Learnt]], found: dict[Names, list[bytes | None]]) -> None:
        """Put what was learnt into what was found. Who loses a race TRIES times gives up, but not a rest."""
        for tries_left in reversed(range(TRIES)):
            names_put = []
            with self._patient.valkey.pipeline(transaction=False) as pipeline:
                for names, values in found.items():
                    if change := _change(values, learnt[names], is_last_try=not tries_left):
                        names_put.append(names)
                        self._put(names, change, pipeline)
                answers = self._ask(self._patient, pipeline.execute) if names_put else None
            if not answers:
                return
            found = {names: answer for names, answer in zip(names_put, answers, strict=True) if answer is not None}

    def vouch(self) -> None:
        """The calls that this process has open are still being made."""
        if self._open:
            until = self._clock() + VOUCHED
            self._ask(
                self._patient, lambda: self._patient.valkey.zadd(CALLS, dict.fromkeys(self._open, until), xx=True)
            )


def health() -> ValkeyHealth:
    """This application's."""
    extensions = current_app.extensions
    if "dataelan_health" not in extensions:
        extensions.setdefault("dataelan_health", ValkeyHealth(store()))
    return cast(ValkeyHealth, extensions["dataelan_health"])


# -- how it is kept ------------------------------------------------------------------------------


def _names(pair: Pair) -> Names:
    return _pair_name(pair), _key_name(pair[1], pair[0])


def _pair_name(pair: Pair) -> str:
    model, key = pair
    return f"{PREFIX}{model.hex}:{key.hex if key else ''}"


def _key_name(key: UUID | None, model: UUID | None = None) -> str:
    """A model that needs no key rests alone."""
    return f"{PREFIX}key:{key.hex}" if key else f"{PREFIX}keyless:{model.hex if model else ''}"


def _change(values: Sequence[bytes | None], learnt: Sequence[_Learnt], *, is_last_try: bool) -> list[Any] | None:
    """What PUT is told, or None when nothing changes."""
    old = [value or b"" for value in values]
    value, key_rest = (json.loads(part) if part else None for part in old)
    before = _vital(value, key_rest)
    after = reduce(lambda vital, one: observed(vital, *one), learnt, before)
    if after is before:
        return None
    now = learnt[-1][1]
    how = "anyway" if is_last_try and after.resting_until > now else ""
    kept = KEPT + math.ceil(max(after.resting_until - now, 0))
    return [*old, _pair_value(after), _rest_value(after.key_rest), how, kept]


def _vital(value: list[Any] | None, key_rest: list[Any] | None, in_flight: int = 0) -> Vital:
    rest = RESTED if key_rest is None else _rest(*key_rest)
    if value is None:
        return Vital(key_rest=rest, in_flight=in_flight)
    latency, first_token_ms, interval, errors, failures, calls, failed, seen_at, *own_rest = value
    own = _rest(*own_rest)
    return Vital(latency, first_token_ms, interval, errors, failures, calls, failed, seen_at, own, rest, in_flight)


def _rest(since: float, until: float, kind: str) -> Rest:
    return Rest(since, until, Kind(kind)) if kind else RESTED


def _pair_value(vital: Vital) -> str:
    """Its statistics and its rest, in the order of Vital's and Rest's fields. Empty when there is nothing to keep."""
    statistics = (
        vital.latency, vital.first_token_ms, vital.interval, vital.errors,
        vital.failures, vital.calls, vital.failed, vital.seen_at,
    )  # fmt: skip
    if not vital.seen_at:
        return ""
    rounded = [value if value is None else round(value, 6) for value in statistics]
    return json.dumps([*rounded, *_rest_fields(vital.rest)], separators=(",", ":"))


def _rest_value(rest: Rest) -> str:
    return "" if rest == RESTED else json.dumps(_rest_fields(rest), separators=(",", ":"))


def _rest_fields(rest: Rest) -> list[Any]:
    return [rest.since, rest.until, rest.kind.value if rest.kind else ""]
