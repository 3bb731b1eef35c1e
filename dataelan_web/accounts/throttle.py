"""Slow down password guessing: counts of wrong passwords per account-and-address and per address, in Valkey.

The account is counted together with the address, so that a stranger's guesses never lock the owner out.
Without Valkey nobody is blocked: signing in must not depend on the queue.
"""

from __future__ import annotations

import contextlib
import hashlib

import redis

from ..jobs.queue import store

WINDOW = 15 * 60
PER_ACCOUNT = 10
PER_ADDRESS = 50


def blocked(email: str, address: str) -> int:
    """Seconds until the next try is allowed; 0: now."""
    with contextlib.suppress(redis.RedisError):
        for key, limit in _keys(email, address):
            if int(store().get(key) or 0) >= limit:
                return max(int(store().ttl(key)), 1)
    return 0


def failed(email: str, address: str) -> None:
    with contextlib.suppress(redis.RedisError):
        for key, _ in _keys(email, address):
            counted(key, WINDOW)


def succeeded(email: str, address: str) -> None:
    with contextlib.suppress(redis.RedisError):
        store().delete(_keys(email, address)[0][0])


def spend(what: str, who: str, most: int, seconds: int) -> int:
    """Count one act of many. Seconds until it is allowed; 0: now."""
    with contextlib.suppress(redis.RedisError):
        key = f"{what}:{_digest(who)}"
        if counted(key, seconds) > most:
            return max(int(store().ttl(key)), 1)
    return 0


def forget(what: str, who: str) -> None:
    with contextlib.suppress(redis.RedisError):
        store().delete(f"{what}:{_digest(who)}")


def counted(key: str, seconds: int, by: int = 1) -> int:
    """How many there are with these, in so many seconds from the first on. In one step: a count without an end would
    block for ever. Raises RedisError."""
    with store().pipeline() as step:
        step.set(key, 0, ex=seconds, nx=True)
        step.incrby(key, by)
        return int(step.execute()[1])


def _keys(email: str, address: str) -> list[tuple[str, int]]:
    return [(f"login:{_digest(email)}:{address}", PER_ACCOUNT), (f"login-address:{address}", PER_ADDRESS)]


def _digest(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()[:24]
