"""The walk through the index, from the newest slice of an organization to the oldest, until somebody has enough.

Every condition is a word of its own in the GIN index, the slice among them, and each is asked for by itself
(`words @@ …` once a condition): only then does PostgreSQL skip from one's next row to the other's. So a slice of
2,048 runs costs well under a millisecond where nothing fits and a few where everything does, and a word that is in
every run of a million costs no more than one that is in none. A beginning of a word has no such short way: it is
looked for in the rows that the rest leaves.

What one walk may take is bounded by a clock, so that whoever asks is answered at once; it says how far it came, and the
page goes on from there by itself.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError

from ..extensions import db
from ..models import now
from ..models.search import facet
from .words import Wanted

SECONDS = 0.08
"""That a search may walk. Then it says how far it came, and can go on from there."""
FIRST_STEP = 0.7
"""Seconds for the first step, though those above be over: on a busy machine, too, each walk comes somewhere."""
FIRST, MOST = 1, 64
"""Slices in the first step; in the longest."""
CANDIDATES = 64

Place = tuple[datetime, uuid.UUID]
LAST = uuid.UUID(int=2**128 - 1)


@dataclass(frozen=True)
class Query:
    """What the index is asked. `facets`: groups of words that begin with MARK, of each of which one must be there."""

    organization_id: uuid.UUID
    wanted: Wanted
    facets: list[list[str]] = field(default_factory=list)
    sessions: list[uuid.UUID] | None = None
    """Only runs of these; None: of any."""
    since: datetime | None = None
    before: datetime | None = None
    after: Place | None = None
    """Go on behind this run."""


class OutOfTime(Exception):
    """`place`: everything newer was looked at. Of a walk that came nowhere, it is this moment."""

    def __init__(self, place: Place | None):
        self.place = place or (now(), LAST)
        super().__init__()


def candidates(query: Query) -> Iterator[list[Place]]:
    """Runs that fit, newest first, some at a time; whether they may be seen is for access.py to say.

    Raises OutOfTime.
    """
    clock = _Clock()
    yield from _sessions(query, clock) if query.sessions is not None else _slices(query, clock)


class _Clock:
    """What is left of a walk's time."""

    def __init__(self) -> None:
        self._began, self._first = time.monotonic(), True

    def left(self) -> float:
        """Seconds for the next step; none: the walk ends here."""
        most, self._first = (max(FIRST_STEP, SECONDS) if self._first else SECONDS), False
        return most - (time.monotonic() - self._began)

    def slices(self, before: int, seconds: float) -> int:
        """How many to look through next, where so many took so long: no more than there is time for."""
        fit = int(0.8 * (SECONDS - (time.monotonic() - self._began)) * before / max(seconds, 1e-6))
        return max(1, min(before * 4, MOST, fit))


def _slices(query: Query, clock: _Clock) -> Iterator[list[Place]]:
    place = query.after
    with db.engine.connect() as connection:  # its own: a statement that is timed out ends a transaction
        slices = _slices_of(connection, query)
        at, size = 0, FIRST
        while at < len(slices):
            step, began = slices[at : at + size], time.monotonic()
            found = _ask(connection, _IN_SLICES, query, clock, place, slices=[row.id for row in step])
            took = time.monotonic() - began
            if found:
                place = found[-1]
                yield found
            if len(found) == CANDIDATES:  # there may be more in the slice of the last one
                at += next(n for n, row in enumerate(step) if row.starts_at <= found[-1][0])
                continue
            at, size = at + len(step), clock.slices(len(step), took)
            place = (step[-1].starts_at, uuid.UUID(int=0))


def _sessions(query: Query, clock: _Clock) -> Iterator[list[Place]]:
    place = query.after
    with db.engine.connect() as connection:
        while True:
            found = _ask(connection, _IN_SESSIONS, query, clock, place, sessions=query.sessions)
            if not found:
                return
            place = found[-1]
            yield found


def _slices_of(connection: Connection, query: Query) -> Sequence[Row[Any]]:
    """Newest first, as far as the days and the place to go on from leave any."""
    newest = min((moment for moment in (query.before, query.after and query.after[0]) if moment), default=None)
    rows = connection.execute(_SLICES, {"organization": query.organization_id, "newest": newest}).all()
    if query.since is None:
        return rows
    last = next((number for number, row in enumerate(rows) if row.starts_at <= query.since), len(rows))
    return rows[: last + 1]


def _ask(
    connection: Connection, frame: str, query: Query, clock: _Clock, place: Place | None, **values: Any
) -> list[Place]:
    left = clock.left()
    if left <= 0.005:
        raise OutOfTime(place)
    statement, parameters = _statement(frame, query, place)
    try:
        connection.execute(text(f"SET LOCAL statement_timeout = {int(left * 1000)}"))
        rows = connection.execute(text(statement), {**parameters, **values, "most": CANDIDATES}).all()
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", "") == QUERY_CANCELED:
            raise OutOfTime(place) from None
        raise
    return [(row.created_at, row.id) for row in rows]


QUERY_CANCELED = "57014"

_SLICES = text(
    "SELECT id, starts_at FROM search_slices WHERE organization_id = :organization"
    " AND (CAST(:newest AS timestamptz) IS NULL OR starts_at <= :newest) ORDER BY starts_at DESC"
)
_IN_SLICES = """
    SELECT found.created_at, found.id FROM search_slices slice CROSS JOIN LATERAL (
        SELECT created_at, id FROM search_documents
        WHERE words @@ CAST('''' || U&'\\0001s' || replace(CAST(slice.id AS text), '-', '') || '''' AS tsquery)
        AND {conditions} ORDER BY created_at DESC, id DESC LIMIT :most
    ) found
    WHERE slice.id = ANY(:slices) ORDER BY slice.starts_at DESC, found.created_at DESC, found.id DESC LIMIT :most
"""
_IN_SESSIONS = """
    SELECT created_at, id FROM search_documents WHERE session_id = ANY(:sessions)
    AND {conditions} ORDER BY created_at DESC, id DESC LIMIT :most
"""


def _statement(frame: str, query: Query, place: Place | None) -> tuple[str, dict[str, Any]]:
    conditions, values = ["true"], dict[str, Any]()
    for number, names in enumerate(query.facets):
        conditions.append(f"words @@ CAST(:facet{number} AS tsquery)")
        values[f"facet{number}"] = " | ".join(f"'{name}'" for name in names) or f"'{facet('none')}'"
    if query.wanted.web:
        conditions.append("words @@ websearch_to_tsquery('dataelan', :web)")
        values["web"] = query.wanted.web
    # As functions: the operator would have the index gather every word of a long text, and all that begin so.
    if query.wanted.rest:
        conditions.append("ts_match_vq(words, websearch_to_tsquery('dataelan', :rest))")
        values["rest"] = query.wanted.rest
    if query.wanted.beginning:
        conditions.append("ts_match_vq(words, to_tsquery('dataelan', :beginning))")
        values["beginning"] = f"'{query.wanted.beginning}':*"
    if query.since:
        conditions.append("created_at >= :since")
        values["since"] = query.since
    if query.before:
        conditions.append("created_at < :before")
        values["before"] = query.before
    if place:
        conditions.append("(created_at, id) < (:at, :id)")
        values |= {"at": place[0], "id": place[1]}
    return frame.replace("{conditions}", " AND ".join(conditions)), values
