"""What a dashboard's numbers are read from: the sums of `rollups`, and nothing else. No run is counted here.

Every query is of one organization, of what the signed-in person may see (sums_seen.py), and given up after a while.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import g
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    Executable,
    Select,
    SmallInteger,
    TableValuedAlias,
    column,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    true,
)

from ..extensions import db
from ..models import ROLLUP_KEYS, ROLLUPS, now
from ..models.rollups import COUNTERS, TAGS, Grain
from ..models.rollups import TOKENS as TOKEN_CLASSES
from ..rollups import histogram
from ..rollups.cuts import HOURS_KEPT, smallest
from ..sums_seen import SumsSeen
from .ranges import Range, Span

GIVES_UP_AFTER = "5s"
_ALONE = "SET LOCAL max_parallel_workers_per_gather = 0"
"""To start helpers takes longer than these queries do."""
PERCENTILES = (0.5, 0.95, 0.99)
Value = uuid.UUID | str | tuple[str, ...]
"""What a dimension has to be; of several words one."""
_SPAN: tuple[tuple[str, Any], ...] = (
    ("grain", SmallInteger()),
    ("starts_at", DateTime(timezone=True)),
    ("ends_at", DateTime(timezone=True)),
)
_IN_SPAN = "rollups.grain = spans.grain AND rollups.bucket >= spans.starts_at AND rollups.bucket < spans.ends_at"
_FOUND = (
    select(ROLLUPS)
    .where(ROLLUPS.c.key_id == ROLLUP_KEYS.c.id, text(_IN_SPAN))
    .correlate(ROLLUP_KEYS)
    .offset(0)
    .lateral("found")
)
"""The sums of a key in a span, looked up by the index: OFFSET keeps PostgreSQL from planning otherwise. So what a query
costs is what it reads, however much else there is."""


@dataclass(frozen=True)
class Sums:
    """Money in nano-USD."""

    runs: int = 0
    failed: int = 0
    attempts: int = 0
    retries: int = 0
    fallbacks: int = 0
    rate_limited: int = 0
    unpriced: int = 0
    tokens_input: int = 0
    tokens_cache_read: int = 0
    tokens_cache_write: int = 0
    tokens_output: int = 0
    tokens_reasoning: int = 0
    cost: int = 0
    streamed_tokens: int = 0
    streamed_ms: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in NAMES))

    def __sub__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) - getattr(other, name) for name in NAMES))

    @property
    def tokens(self) -> int:
        return sum(getattr(self, name) for name in TOKEN_CLASSES)

    @property
    def tokens_in(self) -> int:
        return self.tokens_input + self.tokens_cache_read + self.tokens_cache_write

    @property
    def error_rate(self) -> float | None:
        return self.failed / self.runs if self.runs else None

    @property
    def cost_per_run(self) -> int | None:
        return round(self.cost / self.runs) if self.runs else None

    @property
    def cost_per_1k(self) -> int | None:
        return round(self.cost * 1000 / self.tokens) if self.tokens else None

    @property
    def tokens_per_second(self) -> float | None:
        return self.streamed_tokens * 1000 / self.streamed_ms if self.streamed_ms else None


NAMES = tuple(Sums.__dataclass_fields__)


@dataclass(frozen=True)
class Asked:
    """What is shown: whose, of which, and what was let in by filters, {dimension: what it has to be}."""

    organization_id: uuid.UUID
    seen: SumsSeen
    filters: Mapping[str, Value] = field(default_factory=dict)

    @property
    def dimensions(self) -> set[str]:
        scope = set() if self.seen.everyone else {"project_id", "user_id"}
        return scope | set(self.filters)


def series(asked: Asked, over: Range, by: str | None = None) -> dict[tuple[datetime, Any], Sums]:
    """{(slot, what): sums}; without `by` what is None. Slots without runs are left out."""
    spans = over.span.coarse if over.by_week else (over.span,)
    rows = rows_of(_select(asked, spans, by, _slot(over), _grouped(by), *_sums()).group_by(text("1, 2")))
    return {(row[0].astimezone(over.zone), row[1]): _read(row[2:]) for row in rows}


def by_hour_of_week(asked: Asked, span: Span, zone: ZoneInfo) -> dict[int, Sums]:
    """{hours since Monday's midnight in that zone: sums}, of a span of hours."""
    rows = rows_of(_select(asked, (span,), None, _hour_of_week(zone), *_sums()).group_by(text("1")))
    return {int(row[0]): _read(row[1:]) for row in rows}


def groups(asked: Asked, spans: Sequence[Span], by: str) -> dict[Any, Sums]:
    rows = rows_of(_select(asked, _coarse(spans), by, _grouped(by), *_sums()).group_by(text("1")))
    return {row[0]: _read(row[1:]) for row in rows}


def pairs(asked: Asked, spans: Sequence[Span], by: str, and_by: str) -> dict[tuple[Any, Any], Sums]:
    """Of two dimensions that the same sums have: providers and models."""
    both = _grouped(by), _grouped(and_by)
    rows = rows_of(_select(asked, _coarse(spans), (by, and_by), *both, *_sums()).group_by(text("1, 2")))
    return {(row[0], row[1]): _read(row[2:]) for row in rows}


def folded(found: Mapping[tuple[Any, Any], Sums], place: int) -> dict[Any, Sums]:
    """By one of the two that each is of."""
    by: dict[Any, Sums] = {}
    for pair, one in found.items():
        by[pair[place]] = by[pair[place]] + one if pair[place] in by else one
    return by


def compared(asked: Asked, over: Range, by: str) -> tuple[dict[Any, Sums], dict[Any, Sums]]:
    """(groups of a range, groups of the period before it), in one query."""
    is_now = literal_column("spans.starts_at", DateTime(timezone=True)) >= over.start
    found = _select(asked, _coarse((over.span, *over.before)), by, is_now, _grouped(by), *_sums())
    rows = rows_of(found.group_by(text("1, 2")))
    now, before = ({row[1]: _read(row[2:]) for row in rows if row[0] is which} for which in (True, False))
    return now, before


def totals(asked: Asked, spans: Sequence[Span]) -> Sums:
    return _read(rows_of(_select(asked, _coarse(spans), None, *_sums()))[0])


def percentiles(
    asked: Asked, spans: Sequence[Span], what: str = "total", by: str | None = None, over: Range | None = None
) -> dict[tuple[datetime | None, Any], tuple[float, ...]]:
    """{(slot, what): seconds at PERCENTILES} of runs that completed; slots only with `over`. `what`: total or
    first_token."""
    is_by_bucket = over is not None and not over.by_week
    found = _percentiles(asked, spans if is_by_bucket else _coarse(spans), what, by, _slot(over) if over else None)
    return {(slot.astimezone(over.zone) if over else None, of): told for (slot, of), told in found.items()}


def percentiles_by_hour_of_week(
    asked: Asked, span: Span, zone: ZoneInfo, what: str = "total"
) -> dict[int, tuple[float, ...]]:
    """{hours since Monday's midnight in that zone: seconds at PERCENTILES}"""
    found = _percentiles(asked, (span,), what, None, _hour_of_week(zone))
    return {int(hour): told for (hour, _), told in found.items()}


def known(organization_id: uuid.UUID, seen: SumsSeen) -> dict[str, list[Any]]:
    """All that there ever was to filter by, but tags; keys only for those who see everything."""
    keys = (("api_key_id",),) if seen.everyone else ()
    parts = []
    for names in (("project_id", "provider_id", "model_id", "error"), ("user_id",), *keys):
        cut = smallest({*names, *Asked(organization_id, seen).dimensions})
        every = (func.array_agg(ROLLUP_KEYS.c[name].distinct()).label(name) for name in names)
        query = select(*every).where(ROLLUP_KEYS.c.organization_id == organization_id, ROLLUP_KEYS.c.cut == cut)
        parts.append(query.where(*_scope(seen)).subquery())
    whole = select(*parts)
    for part in parts[1:]:
        whole = whole.join_from(parts[0], part, true())
    return {name: ids or [] for name, ids in rows_of(whole)[0]._mapping.items()}


def known_tags(organization_id: uuid.UUID, seen: SumsSeen, most: int) -> list[str]:
    """Those of runs, by name."""
    cut = smallest({TAGS, *Asked(organization_id, seen).dimensions})
    here = ROLLUP_KEYS.c.organization_id == organization_id, ROLLUP_KEYS.c.cut == cut
    every = select(func.unnest(ROLLUP_KEYS.c[TAGS]).label("tag")).where(*here, *_scope(seen)).distinct()
    return [row.tag for row in rows_of(every.order_by(text("1")).limit(most))]


def tagged(asked: Asked, spans: Sequence[Span]) -> tuple[dict[str, Sums], Sums]:
    """({tag: sums of all that has it}, sums of all that has any)"""
    sets = _select(asked, _coarse(spans), TAGS, ROLLUP_KEYS.c[TAGS], *_sums()).group_by(text("1"))
    each, whole = dict[str, Sums](), Sums()
    for row in rows_of(sets):
        of_set = _read(row[1:])
        whole += of_set
        for tag in row[0]:
            each[tag] = each.get(tag, Sums()) + of_set
    return {tag: found for tag, found in each.items() if found != Sums()}, whole


# -- inside ----------------------------------------------------------------------------------------


def _percentiles(
    asked: Asked, spans: Sequence[Span], what: str, by: str | None, slot: ColumnElement[Any] | None
) -> dict[tuple[Any, Any], tuple[float, ...]]:
    one = func.unnest(_FOUND.c[what]).column_valued("one", joins_implicitly=True)
    columns = (
        (literal(None) if slot is None else slot).label("slot"),
        _grouped(by).label("what"),
        one.op(">>")(histogram.PACKED).label("bin"),
        (func.sum(one.op("&")(histogram.COUNT)) % (histogram.COUNT + 1)).label("n"),
    )
    bins = _select(asked, spans, by, *columns).group_by(text("1, 2, 3")).subquery()
    same = (bins.c.slot, bins.c.what)
    ranked = select(
        *same,
        bins.c.bin,
        func.sum(bins.c.n).over(partition_by=same, order_by=bins.c.bin).label("upto"),
        func.sum(bins.c.n).over(partition_by=same).label("all"),
    ).subquery()
    cuts = (func.min(ranked.c.bin).filter(ranked.c.upto >= ranked.c.all * part) for part in PERCENTILES)
    rows = rows_of(
        select(ranked.c.slot, ranked.c.what, *cuts).where(ranked.c.all > 0).group_by(ranked.c.slot, ranked.c.what)
    )
    return {(row[0], row[1]): tuple(map(histogram.seconds_of, row[2:])) for row in rows}


def _select(asked: Asked, spans: Sequence[Span], by: str | tuple[str, ...] | None, *columns: Any) -> Select[Any]:
    is_old = any(span.grain is Grain.HOUR and now() - span.start > HOURS_KEPT for span in spans)
    needed = {by} if isinstance(by, str) else {*(by or ())}
    cut = smallest(asked.dimensions | needed, old_hours=is_old)
    return (
        select(*columns)
        .select_from(ROLLUP_KEYS)
        .join(_table_of(spans), true())
        .join(_FOUND, true())
        .where(ROLLUP_KEYS.c.organization_id == asked.organization_id, ROLLUP_KEYS.c.cut == cut)
        .where(*_scope(asked.seen), *(_fits(name, value) for name, value in asked.filters.items()))
    )


def _table_of(spans: Sequence[Span]) -> TableValuedAlias:
    """By arrays, not VALUES: a statement with these is made anew each time (SQLAlchemy cannot tell them apart), which
    takes longer than to ask it."""
    told = zip(*((span.grain, span.start, span.end) for span in spans), strict=True)
    arrays: Iterator[Any] = (literal(list(of), ARRAY(kind)) for of, (_, kind) in zip(told, _SPAN, strict=True))
    return func.unnest(*arrays).table_valued(*(column(*one) for one in _SPAN)).render_derived("spans")


def _fits(name: str, value: Value) -> ColumnElement[bool]:
    return ROLLUP_KEYS.c[name].contains([value]) if name == TAGS else is_one_of(ROLLUP_KEYS.c[name], value)


def is_one_of(column: ColumnElement[Any], value: Value) -> ColumnElement[bool]:
    return column.in_(value) if isinstance(value, tuple) else column == value


def _coarse(spans: Sequence[Span]) -> tuple[Span, ...]:
    return tuple(part for span in spans for part in span.coarse)


def _scope(seen: SumsSeen) -> list[ColumnElement[bool]]:
    if seen.everyone:
        return []
    return [or_(ROLLUP_KEYS.c.project_id.in_(seen.projects), ROLLUP_KEYS.c.user_id == seen.user_id)]


def _grouped(by: str | None) -> ColumnElement[Any]:
    return ROLLUP_KEYS.c[by] if by else literal(None)


def _slot(over: Range) -> ColumnElement[Any]:
    return func.date_trunc("week", _FOUND.c.bucket, over.zone.key) if over.by_week else _FOUND.c.bucket


def _hour_of_week(zone: ZoneInfo) -> ColumnElement[Any]:
    local = func.timezone(zone.key, _FOUND.c.bucket)
    return (func.extract("isodow", local) - 1) * 24 + func.extract("hour", local)


def _sums() -> list[ColumnElement[Any]]:
    return [func.coalesce(func.sum(_FOUND.c[name]), 0) for name in NAMES]


def _read(row: Sequence[Any]) -> Sums:
    return Sums(*map(int, row))


def rows_of(query: Executable) -> Sequence[Any]:
    """Its rows, or OperationalError: no query of a dashboard takes longer than it may."""
    session = db.session()
    if "bounded_in" not in g or g.bounded_in is not session.get_transaction():
        patience = g.get("gives_up_after", GIVES_UP_AFTER)
        session.execute(text(f"SET LOCAL statement_timeout = '{patience}'; {_ALONE}"))
        g.bounded_in = session.get_transaction()
    return session.execute(query).all()


if COUNTERS != NAMES:
    raise LookupError("a counter of rollups is in no sum, or elsewhere")
