"""Slows down who tries addresses of public links, by counts per address in Valkey. Without Valkey nobody is stopped:
a secret of 192 bits is not guessed anyway."""

from __future__ import annotations

import contextlib

import redis

from ..jobs.queue import store

WINDOW = 10 * 60
MOST = 60


def too_many(address: str) -> int:
    """Seconds until the next try; 0: now."""
    with contextlib.suppress(redis.RedisError):
        if int(store().get(_key(address)) or 0) >= MOST:
            return max(int(store().ttl(_key(address))), 1)
    return 0


def wrong(address: str) -> None:
    with contextlib.suppress(redis.RedisError):
        if store().incr(_key(address)) == 1:
            store().expire(_key(address), WINDOW)


def _key(address: str) -> str:
    return f"public-link:{address}"
