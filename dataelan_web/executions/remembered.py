"""What a process remembers of limits and keys, for calls that come one after the other.

As of rules (hub_view.py): until the database counts a change of the organization's hub or of its limits, or of
everyone's, or until something is another by itself, as a limit is in its next window. That count comes with the token
of each call, so a change holds at once, in every process.

It is never more than a guess of what is left, and of whether a window still lasts: no clock of ours goes while a
machine sleeps. Whether a limit is kept to, and in which window, the database says as it holds.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Hashable
from dataclasses import replace
from math import inf
from typing import Any, Generic, NamedTuple, TypeVar

from .. import quota
from ..extensions import one_of_each
from ..models.hub import address_of
from ..secrets import Envelope, Place, keyring

MOST = 10_000
"""Of each kind."""
NOTED_EVERY = 60.0
"""Seconds after which the use of a key is noted anew, by whoever then reads it anew."""
MEANWHILE = 2.0
"""… that this may take, until somebody else does it."""

Value = TypeVar("Value")


class Memory(Generic[Value]):
    """By the version that they were read at. Safe to use from many threads."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[int, float, float, Value]] = {}

    def find(self, key: Hashable, version: int) -> Value | None:
        """When it is due, one is told nothing, and asks anew; whoever comes meanwhile goes on with what there is."""
        kept, now = self._kept.get(key), time.monotonic()
        if kept is None or kept[0] != version or now >= kept[2]:
            return None
        _, due_at, ends_at, value = kept
        if now < due_at:
            return value
        self._kept[key] = version, now + MEANWHILE, ends_at, value
        return None

    def put(self, key: Hashable, version: int, value: Value, due: float = inf, until: float = inf) -> None:
        """In how many seconds it is due to be asked for anew, and until when, by `time.monotonic`, it is true."""
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[key] = version, time.monotonic() + due, until, value

    def forget(self, key: Hashable) -> None:
        self._kept.pop(key, None)


class Limits(Memory[quota.Applicable]):
    def keep(self, subjects: quota.Subjects, version: int | None, counted: quota.Applicable) -> None:
        """Not where a window of one has yet to begin: that is written by the first call in it."""
        if version is None or any(limit.period_id is None for limit in counted.limits):
            return
        untouched = tuple(replace(limit, spent=0, reserved=0) for limit in counted.limits)
        self.put(subjects, version, replace(counted, limits=untouched), until=counted.until)


class Sealed(NamedTuple):
    """A key as the journal reads it, ready to be opened for a call."""

    organization_id: uuid.UUID | None
    label: str
    envelope: Envelope
    is_stale: bool

    @classmethod
    def of(cls, id: uuid.UUID, row: Any) -> Sealed:
        """Raises Unreadable."""
        place = Place(row.organization_id, id, "ciphertext", address_of(row.base_url))
        return cls(row.organization_id, row.label, keyring().envelope(row.ciphertext, place), row.is_stale)


class Keys(Memory[Sealed]):
    """By whose call it is and their id: the platform's are used by many, and each counts its own hub's changes."""

    def keep(self, here: uuid.UUID, id: uuid.UUID | None, version: int | None, row: Any) -> None:
        """One that was just opened. Whoever read it notes its use, and nobody else does for as long as it is kept."""
        if id and version is not None and row.ciphertext is not None:
            self.put((here, id), version, Sealed.of(id, row)._replace(is_stale=False), due=NOTED_EVERY)


@one_of_each("dataelan_limits_remembered")
def limits() -> Limits:
    """This application's."""
    return Limits()


@one_of_each("dataelan_keys_remembered")
def keys() -> Keys:
    """This application's."""
    return Keys()
