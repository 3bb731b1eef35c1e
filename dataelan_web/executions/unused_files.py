"""Bytes in storage that no row names any more: what is left when projects, sessions and runs are deleted.

A file may lie there without a row for a while: it is put there before the prompt, or the run that made it, is recorded.
So nothing younger than a day is touched. Several rows may name one file; it goes with the last of them.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
from sqlalchemy import select, union

from ..extensions import db
from ..jobs.queue import store
from ..models import Asset, Organization, RunExport, now
from ..storage import KEY, Kept, Unavailable, storage

log = logging.getLogger(__name__)

GRACE = timedelta(days=1)
EVERY = timedelta(days=1)
CLAIM = "dataelan:unused-files"
MAYBE_HALF = re.compile(f"(?:{KEY.pattern})(?:#\\d+)?")
"""`#1` ends what a put to a folder left when it was broken off."""


@dataclass(frozen=True)
class Swept:
    files: int = 0
    size: int = 0
    """Bytes."""
    strange: int = 0
    """Files of organizations that are not in this database. They are left, unless one says that those are gone."""


def sweep(*, with_strange: bool = False, at: datetime | None = None) -> Swept:
    """Delete what nothing names. Raises storage.Unavailable."""
    before = (at or now()) - GRACE
    files = size = strange = 0
    for page in storage().listed():
        old = {kept.key: kept for kept in page if kept.written_at < before and MAYBE_HALF.fullmatch(kept.key)}
        known = _known({_owner(key) for key in old})
        strange += sum(_owner(key) not in known for key in old)
        for kept in _unnamed([kept for key, kept in old.items() if with_strange or _owner(key) in known]):
            storage().delete(kept.key)
            files, size = files + 1, size + kept.size
    return Swept(files, size, 0 if with_strange else strange)


def sweep_daily(name: str) -> None:
    """For every worker, often: the first of them that asks on a day does it."""
    try:
        if not store().set(CLAIM, name, nx=True, ex=int(EVERY.total_seconds())):
            return
        try:
            swept = sweep()
        except Unavailable:
            store().delete(CLAIM)  # it is tried again the next time
            return
    except redis.RedisError:
        return
    if swept.files:
        log.info("%d files that nothing named any more were deleted from storage (%d bytes)", swept.files, swept.size)


def _unnamed(kept: list[Kept]) -> Iterator[Kept]:
    keys = [one.key for one in kept]
    query = union(*(select(of.storage_key).where(of.storage_key.in_(keys)) for of in (Asset, RunExport)))
    named = set(db.session.scalars(query)) if keys else set()
    db.session.rollback()  # no transaction is held while files are deleted
    return (one for one in kept if one.key not in named)


def _known(owners: Collection[uuid.UUID]) -> set[uuid.UUID]:
    return set(db.session.scalars(select(Organization.id).where(Organization.id.in_(owners)))) if owners else set()


def _owner(key: str) -> uuid.UUID:
    return uuid.UUID(key.partition("/")[0])
