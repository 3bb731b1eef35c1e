"""How often somebody may invite, and how often wrong links may be tried: counted in Valkey, as wrong passwords are."""

from __future__ import annotations

import contextlib

import redis

from ..accounts.throttle import counted
from ..jobs.queue import store

HOUR = 3600
INVITATIONS = 100
"""An hour, by one person: enough for a company's list, and too few for somebody who sends mail to strangers."""
WRONG_LINKS = 30
"""An hour, from one address."""


def blocked(what: str, who: str, most: int) -> int:
    """Seconds until the next is allowed; 0: now. Without Valkey nobody is blocked."""
    with contextlib.suppress(redis.RedisError):
        if int(store().get(_key(what, who)) or 0) >= most:
            return max(int(store().ttl(_key(what, who))), 1)
    return 0


def count(what: str, who: str, by: int = 1) -> None:
    with contextlib.suppress(redis.RedisError):
        counted(_key(what, who), HOUR, by)


def _key(what: str, who: str) -> str:
    return f"{what}:{who}"
