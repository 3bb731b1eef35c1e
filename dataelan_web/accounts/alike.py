"""Nobody learns by the time that an answer takes who has an account: whatever was done for it, it comes as late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from ..extensions import db


@contextmanager
def taking(seconds: float) -> Iterator[None]:
    """What is inside takes so long, or longer where it has to. Whoever is inside commits: nothing is held on while
    there is nothing left to do but wait."""
    ends_at = monotonic() + seconds
    yield
    db.session.rollback()
    sleep(max(ends_at - monotonic(), 0))
