"""How fast subjects may ask, counted in Valkey: requests and tokens of the last minute, and prompts at the same moment.

A minute is counted in sixty buckets, by Valkey's clock. A bucket counts until all of it is a minute old, so in no
minute, whenever it begins, more is let through than the limit; a call may count for a second longer than a minute.

A prompt that runs has a lease, which its process renews. A process that is killed renews nothing, and what it held is
free after LEASE seconds.

All limits of a call are asked in one round trip, and nothing is counted when one of them refuses. Valkey may be empty
(then the minute begins anew) or away: then what a rate applies to is refused, and nothing else is.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from ..models import Pace
from .limits import Rate
from .refusals import RateExceeded, RatesUnknown

log = logging.getLogger(__name__)

PREFIX = "rate:1:"
"""The number changes with the form of what is kept."""
MINUTE = 60.0
BUCKETS = 60
LEASE = 60.0
RENEW_EVERY = 20.0
LEFT_ALONE = 2.0
"""Seconds in which Valkey is not asked after it gave no answer."""

_CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
# KEYS: of each limit the hash of its buckets and the sorted set of its leases. Times in ms.
# ARGV: call, tokens, minute, bucket, lease; then of each limit requests, tokens, parallel, 0 for none.
# Answers {bucket}, or {0, limit, pace, ms to wait}: of all that refuse, the one to wait for longest; -1 for ever.
_LOOK = f"""{_CLOCK}
local call, tokens = ARGV[1], tonumber(ARGV[2])
local minute, size, lease = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local current = math.floor(now / size)
local oldest = current - minute / size
local refused = nil

local function refuse(limit, pace, wait)
  if not refused or (refused[4] ~= -1 and (wait == -1 or wait > refused[4])) then
    refused = {{0, limit, pace, wait}}
  end
end

local function wait_for(buckets, surplus)
  table.sort(buckets, function(a, b) return a[1] < b[1] end)
  for _, bucket in ipairs(buckets) do
    surplus = surplus - bucket[2]
    if surplus <= 0 then return (bucket[1] + 1) * size + minute - now end
  end
  return -1
end

for limit = 1, #KEYS / 2 do
  local most = {{r = tonumber(ARGV[3 + 3 * limit]), t = tonumber(ARGV[4 + 3 * limit])}}
  local parallel = tonumber(ARGV[5 + 3 * limit])
  if most.r > 0 or most.t > 0 then
    local counted, used = redis.call('HGETALL', KEYS[2 * limit - 1]), {{r = 0, t = 0}}
    local buckets, old = {{r = {{}}, t = {{}}}}, {{}}
    for place = 1, #counted, 2 do
      local kind, bucket = string.sub(counted[place], 1, 1), tonumber(string.sub(counted[place], 2))
      if bucket < oldest then
        table.insert(old, counted[place])
      else
        used[kind] = used[kind] + counted[place + 1]
        table.insert(buckets[kind], {{bucket, tonumber(counted[place + 1])}})
      end
    end
    if #old > 0 then redis.call('HDEL', KEYS[2 * limit - 1], unpack(old)) end
    for kind, more in pairs({{r = 1, t = tokens}}) do
      local surplus = used[kind] + more - most[kind]
      if most[kind] > 0 and surplus > 0 then
        refuse(limit, kind == 'r' and 'requests' or 'tokens', wait_for(buckets[kind], surplus))
      end
    end
  end
  if parallel > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[2 * limit], '-inf', now)
    if redis.call('ZCARD', KEYS[2 * limit]) >= parallel then refuse(limit, 'parallel', 1000) end
  end
end
if refused then return refused end
"""
LOOK = f"""{_LOOK}
return {{current}}
"""
TAKE = f"""{_LOOK}
for limit = 1, #KEYS / 2 do
  if ARGV[3 + 3 * limit] ~= '0' or ARGV[4 + 3 * limit] ~= '0' then
    redis.call('HINCRBY', KEYS[2 * limit - 1], 'r' .. current, 1)
    redis.call('HINCRBY', KEYS[2 * limit - 1], 't' .. current, tokens)
    redis.call('PEXPIRE', KEYS[2 * limit - 1], minute + 2 * size)
  end
  if ARGV[5 + 3 * limit] ~= '0' then
    redis.call('ZADD', KEYS[2 * limit], now + lease, call)
    redis.call('PEXPIRE', KEYS[2 * limit], lease)
  end
end
return {{current}}
"""
# ARGV: call, bucket, and what is to be added to the requests and tokens that were counted there.
GIVE_BACK = """
for limit = 1, #KEYS / 2 do
  for kind, more in pairs({r = ARGV[3], t = ARGV[4]}) do
    if redis.call('HEXISTS', KEYS[2 * limit - 1], kind .. ARGV[2]) == 1 then
      redis.call('HINCRBY', KEYS[2 * limit - 1], kind .. ARGV[2], more)
    end
  end
  redis.call('ZREM', KEYS[2 * limit], ARGV[1])
end
"""
# ARGV: call, lease.
RENEW = f"""{_CLOCK}
for limit = 1, #KEYS / 2 do
  redis.call('ZADD', KEYS[2 * limit], now + ARGV[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[2 * limit], ARGV[2])
end
"""


@dataclass(frozen=True)
class Lease:
    """What was counted for a call that runs."""

    call: str
    keys: tuple[str, ...]
    bucket: int
    tokens: int
    places: tuple[str, ...]
    """Of `keys`, those of limits on how many run at once: where it is to be found as long as it runs."""


class Rates:
    """Safe to use from many threads. `valkey` must give up soon: every call that a rate applies to waits for it."""

    def __init__(self, valkey: redis.Redis, minute: float = MINUTE, lease: float = LEASE):
        self._valkey, self._minute, self._lease = valkey, round(minute * 1000), round(lease * 1000)
        self._take, self._give_back, self._renew = map(valkey.register_script, (TAKE, GIVE_BACK, RENEW))
        self._look = valkey.register_script(LOOK)
        self._running = dict[str, Lease]()
        self._in_doubt = dict[Lease, float]()
        """Of calls that Valkey gave no answer about, and may count when it wakes; until when."""
        self._lock = threading.Lock()
        self._is_renewing = self._is_away = False
        self._asked_again_at = 0.0

    def take(self, rates: Sequence[Rate], call_id: uuid.UUID, tokens: int) -> Lease | None:
        """Count a call that may use so many tokens; None where no rate applies, without a round trip.

        Raises RateExceeded, having counted nothing, or RatesUnknown."""
        if not rates:
            return None
        call, keys, places = call_id.hex, _keys(rates), _places(rates)
        try:
            lease = Lease(call, keys, self._counted(self._take, rates, call, tokens), tokens, places)
        except RatesUnknown as unknown:
            if places and unknown.__cause__ is not None:  # it was asked
                self._doubt(Lease(call, keys, 0, 0, places))
            raise
        self._keep(lease)
        return lease

    def look(self, rates: Sequence[Rate], tokens: int) -> None:
        """Would such a call be let through now? Raises as `take` does, and counts nothing."""
        if rates:
            self._counted(self._look, rates, "", tokens)

    def go_on(self, rates: Sequence[Rate], call_id: uuid.UUID) -> Lease | None:
        """The lease of a call that another process began: it runs, whatever the limits say. Nothing is counted anew."""
        if not rates:
            return None
        places = _places(rates)
        lease = Lease(call_id.hex, places, 0, 0, places)
        self._try(lambda: self._renew(lease.places, [lease.call, self._lease]))
        self._keep(lease)
        return lease

    def end(self, lease: Lease | None, tokens: int | None) -> None:
        """A call has ended and used so many tokens; None: it was not sent, and does not count at all."""
        if lease is None:
            return
        with self._lock:
            self._running.pop(lease.call, None)
        more = (-1, -lease.tokens) if tokens is None else (0, tokens - lease.tokens)
        self._try(lambda: self._give_back(lease.keys, [lease.call, lease.bucket, *more]))

    def renew(self) -> None:
        """The calls of this process still run: also where Valkey was emptied, and has forgotten them."""
        with self._lock:
            running = [lease for lease in self._running.values() if lease.places]
        if running:
            with self._valkey.pipeline(transaction=False) as pipeline:
                for lease in running:
                    self._renew(lease.places, [lease.call, self._lease], pipeline)
                self._try(pipeline.execute)
        self._free([lease for lease in running if lease.call not in self._running])  # ended while it was renewed
        with self._lock:
            moment = time.monotonic()
            self._in_doubt = {lease: until for lease, until in self._in_doubt.items() if until > moment}
            doubted = [lease for lease in self._in_doubt if lease.call not in self._running]
        self._free(doubted)

    # -- inside ----------------------------------------------------------------------------------

    def _counted(self, script: Any, rates: Sequence[Rate], call: str, tokens: int) -> int:
        """The bucket that it is counted in. Raises RateExceeded or RatesUnknown."""
        limits = [value or 0 for rate in rates for value in (rate.requests_per_minute, rate.tokens_per_minute,
                                                             rate.parallel)]  # fmt: skip
        arguments: list[str | int] = [call, tokens, self._minute, self._minute // BUCKETS, self._lease, *limits]
        bucket, *refusal = self._ask(lambda: script(_keys(rates), arguments))
        if refusal:
            place, pace, wait = refusal
            raise RateExceeded(rates[place - 1], Pace(pace.decode()), wait / 1000 if wait >= 0 else None)
        return int(bucket)

    def _ask(self, ask: Any) -> Any:
        if time.monotonic() < self._asked_again_at:
            raise RatesUnknown
        try:
            answer = ask()
        except redis.RedisError as error:
            self._asked_again_at = time.monotonic() + LEFT_ALONE
            if not self._is_away:
                self._is_away = True
                log.warning("what rate limits apply to is refused: Valkey does not answer (%s)", error)
            raise RatesUnknown from error
        self._is_away = False
        return answer

    def _free(self, leases: Sequence[Lease]) -> None:
        """Their places, and nothing of what was counted in minutes."""
        for lease in leases:
            self._try(lambda lease=lease: self._give_back(lease.places, [lease.call, lease.bucket, 0, 0]))

    def _try(self, ask: Any) -> None:
        """What is not written frees itself: leases run out, and minutes pass."""
        with contextlib.suppress(RatesUnknown):
            self._ask(ask)

    def _keep(self, lease: Lease) -> None:
        with self._lock:
            self._running[lease.call] = lease
            self._go_on_renewing()

    def _doubt(self, lease: Lease) -> None:
        with self._lock:
            self._in_doubt[lease] = time.monotonic() + self._lease / 1000
            self._go_on_renewing()

    def _go_on_renewing(self) -> None:
        if not self._is_renewing:
            self._is_renewing = True
            threading.Thread(target=self._renew_forever, name="rates", daemon=True).start()

    def _renew_forever(self) -> None:
        while True:
            time.sleep(min(RENEW_EVERY, self._lease / 3000))
            try:
                self.renew()
            except Exception:  # this thread must not end: prompts that run long would no longer count
                log.exception("leases of rate limits could not be renewed")


def _places(rates: Sequence[Rate]) -> tuple[str, ...]:
    return _keys([rate for rate in rates if rate.parallel])


def _keys(rates: Sequence[Rate]) -> tuple[str, ...]:
    return tuple(f"{PREFIX}{rate.id.hex}:{what}" for rate in rates for what in ("minute", "leases"))
