"""The form in which health is kept in Valkey: the names and values of a pair's statistics and of a key's rest, and the
scripts that read and change them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import reduce
from typing import Any
from uuid import UUID

from ..router.health import RESTED, Observation, Pair, Rest, Vital, observed
from ..router.types import Kind

PREFIX = "health:1:"
"""The number changes with the form of what is kept."""
CALLS, COUNTS = f"{PREFIX}calls", f"{PREFIX}counts"
KEPT = 86400
"""Seconds."""

Names = tuple[str, str]
"""Of a pair's value and of its key's rest."""
Learnt = tuple[Observation, float]
"""And when."""

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


def names_of(pair: Pair) -> Names:
    return pair_name(pair), key_name(pair[1], pair[0])


def pair_name(pair: Pair) -> str:
    model, key = pair
    return f"{PREFIX}{model.hex}:{key.hex if key else ''}"


def key_name(key: UUID | None, model: UUID | None = None) -> str:
    """A model that needs no key rests alone."""
    return f"{PREFIX}key:{key.hex}" if key else f"{PREFIX}keyless:{model.hex if model else ''}"


def changed(values: Sequence[bytes | None], learnt: Sequence[Learnt], *, is_last_try: bool) -> list[Any] | None:
    """What PUT is told, or None when nothing changes."""
    old = [value or b"" for value in values]
    value, key_rest = (json.loads(part) if part else None for part in old)
    before = vital_of(value, key_rest)
    after = reduce(lambda vital, one: observed(vital, *one), learnt, before)
    if after is before:
        return None
    now = learnt[-1][1]
    how = "anyway" if is_last_try and after.resting_until > now else ""
    kept = KEPT + math.ceil(max(after.resting_until - now, 0))
    return [*old, _pair_value(after), _rest_value(after.key_rest), how, kept]


def vital_of(value: list[Any] | None, key_rest: list[Any] | None, in_flight: int = 0) -> Vital:
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
