"""The runs that a dashboard's numbers are made of: the same filters as SQL over executions. Narrow rows only; what was
said is never read here.

A run is listed where `rollups` count it, or money of it: asked for by provider, model, key or payer, also a run that
another model answered in the end, for what its call there cost. So what is listed adds up to what panels show.
Conditions that can only be met one way or another (one's own runs, or those of a project; answered, or fallen back)
are branches of a UNION of their own, so that each is read in order from an index.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Date,
    Executable,
    Select,
    Table,
    and_,
    case,
    exists,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy import cast as as_type
from sqlalchemy.dialects.postgresql import ARRAY

from ..executions.candidates import AUTO
from ..models import Attempt, LedgerEntry, Origin, State
from ..models.base import NIL
from ..models.executions import OPEN
from ..models.explored import DAY
from ..models.rollups import TAGS, TOKENS
from ..rollups.counting import RATE_LIMIT, REPAIR
from ..second_net import lifted
from .sorting import RUNS, TIME, Order, Place
from .sums import Asked, Value, is_one_of, rows_of

UNITS = ("provider_id", "model_id", "api_key_id", "payer")
"""What a call has beside its run: money counts with the call's."""
FALLBACK, RETRY = "fallback", "retry"
MET = {FALLBACK: "Fell back", RETRY: "Tried again", RATE_LIMIT: "Met a rate limit"}
"""What calls came to, and in words."""
MOST_BRANCHES = 8
"""Projects of a guest that are read each for itself."""
_NO_TAGS: ColumnElement[Any] = literal_column("'{}'::text[]")
CALLS, LINES = cast(Table, Attempt.__table__), cast(Table, LedgerEntry.__table__)
_NEXT = CALLS.alias("next_call")
ROW = (
    "id created_at first_token_at finished_at project_id session_id user_id origin repairs_id batch_id model_type "
    "requested state error_kind rule_id provider_id model_id api_key_id payer attempts_made tokens_input "
    "tokens_cache_read tokens_cache_write tokens_output tokens_reasoning cost deleted_at tags"
).split()


@dataclass(frozen=True)
class Only:
    """What runs have and sums do not."""

    rule: uuid.UUID | None = None
    has_no_tags: bool = False
    cost: int | None = None
    """Nano-USD, at least."""
    seconds: float | None = None
    """In all, at least."""
    met: str = ""
    """One of MET: a call that it came to."""

    def __bool__(self) -> bool:
        return self != Only()


@dataclass(frozen=True)
class Wanted:
    asked: Asked
    start: datetime
    end: datetime
    only: Only = field(default_factory=Only)
    as_of: datetime | None = None
    """Only what had ended then: for reading many pages of one state."""


@dataclass(frozen=True)
class Found:
    rows: list[Any]
    """In the order asked for."""
    older: Place | None
    newer: Place | None


def page(wanted: Wanted, order: Order, size: int, after: Place | None, before: Place | None, *, by_day: bool) -> Found:
    """`by_day`: read the highest of each day from its index, rather than all and sort."""
    backwards = before is not None and after is None
    place = before if backwards else after
    with lifted() if by_day else nullcontext():  # the index of days is none that a policy leaves one
        rows = list(rows_of(_ordered(wanted, order, size + 1, place, backwards=backwards, by_day=by_day)))
    has_more, rows = len(rows) > size, rows[:size]
    if backwards:
        rows.reverse()
    if not rows:
        return Found([], None, None)
    first, last = (order.place(row.number, row.id) for row in (rows[0], rows[-1]))
    is_behind = place is not None
    older = last if (backwards or has_more) else None
    newer = first if (has_more if backwards else is_behind) else None
    return Found(rows, older, newer)


def costs(rows: Sequence[Any], asked: Asked) -> dict[uuid.UUID, int]:
    """What the ledger has for each of these runs, as far as its calls fit the filters. Nano-USD."""
    ids = [row.id for row in rows]
    query = (
        select(CALLS.c.execution_id, func.sum(LINES.c.amount))
        .join(LINES, LINES.c.attempt_id == CALLS.c.id)
        .where(CALLS.c.execution_id.in_(ids), *_of_calls(asked))
        .group_by(CALLS.c.execution_id)
    )
    return {id: int(amount) for id, amount in rows_of(query)} if ids else {}


def counted(wanted: Wanted) -> tuple[int, int]:
    """(runs, nano-USD), from the runs themselves: for what only they know."""
    branches = [select(RUNS.c.id).where(*conditions) for conditions in _branches(wanted)]
    ids = union_all(*branches).subquery()
    paid = (
        select(func.coalesce(func.sum(LINES.c.amount), 0))
        .select_from(ids.join(CALLS, CALLS.c.execution_id == ids.c.id).join(LINES, LINES.c.attempt_id == CALLS.c.id))
        .where(*_of_calls(wanted.asked))
    )
    row = rows_of(select(select(func.count()).select_from(ids).scalar_subquery(), paid.scalar_subquery()))[0]
    return int(row[0]), int(row[1])


def by_rule(wanted: Wanted) -> list[Any]:
    """[(rule_id, is_auto, model_id, runs, called, served, priced, paid, tokens of each class)] of the runs that the
    sums count with what answered. `is_auto`: no rule, and none was asked for; `called`: those that reached a provider;
    `served`: those that the model called first answered; `priced`: those that completed and whose price is known, and
    only they have money (nano-USD) and tokens here. All are read one by one: bound them first."""
    first = select(CALLS.c.model_id).where(CALLS.c.execution_id == RUNS.c.id, CALLS.c.number == 1).scalar_subquery()
    completed = RUNS.c.state == State.COMPLETED.value
    read = (
        *(RUNS.c[name] for name in ("rule_id", "model_id", "attempts_made", "cost", *TOKENS)),
        and_(RUNS.c.rule_id.is_(None), RUNS.c.requested == AUTO).label("is_auto"),
        and_(completed, or_(RUNS.c.attempts_made == 1, first == RUNS.c.model_id)).label("is_served"),
        and_(completed, RUNS.c.cost.is_not(None)).label("is_priced"),
    )
    one = union_all(*(select(*read).where(*conditions) for conditions in _branches(wanted, went_on=False))).subquery()

    def whole(name: str) -> ColumnElement[Any]:
        return func.coalesce(func.sum(one.c[name]).filter(one.c.is_priced), 0)

    by = (one.c.rule_id, one.c.is_auto, one.c.model_id)
    query = select(
        *by,
        func.count().label("runs"),
        func.count().filter(one.c.attempts_made > 0).label("called"),
        func.count().filter(one.c.is_served).label("served"),
        func.count().filter(one.c.is_priced).label("priced"),
        whole("cost").label("paid"),
        *(whole(name).label(name) for name in TOKENS),
    )
    return list(rows_of(query.group_by(*by)))


def open_now(asked: Asked, most: int) -> list[Any]:
    """Runs that have not ended, the newest first, as far as what they are is known already."""
    known = {name: value for name, value in asked.filters.items() if name in ("project_id", "user_id", "model_type")}
    if len(known) < len(asked.filters):
        return []
    is_open = RUNS.c.state.in_([state.value for state in OPEN])
    mine = [RUNS.c.organization_id == asked.organization_id, is_open, _anyones(asked)]
    query = _narrow().where(*mine, *(_is(name, value) for name, value in known.items()))
    return list(rows_of(query.order_by(RUNS.c.created_at.desc()).limit(most)))


# -- inside ----------------------------------------------------------------------------------------


def _ordered(
    wanted: Wanted, order: Order, limit: int, place: Place | None, *, backwards: bool, by_day: bool
) -> Executable:
    beyond = [order.beyond(place, backwards=backwards)] if place else []
    if by_day and order.sort is not TIME:
        days = func.unnest(as_type(_days(wanted), ARRAY(Date))).table_valued("day", name="days").render_derived()
        of_day = [literal_column(DAY) == days.c.day, *beyond]
        each = _merged(wanted, order, of_day, limit, backwards=backwards).lateral()
        query = select(each).select_from(days.join(each, true()))
        return query.order_by(*order.columns(each.c.number, each.c.id, backwards=backwards)).limit(limit)
    return _merged(wanted, order, beyond, limit, backwards=backwards)


def _merged(wanted: Wanted, order: Order, more: list[Any], limit: int, *, backwards: bool) -> Select[Any]:
    columns = order.columns(order.sort.number, RUNS.c.id, backwards=backwards)
    parts = [
        _narrow()
        .add_columns(order.sort.number.label("number"))
        .where(*conditions, *more)
        .order_by(*columns)
        .limit(limit)
        for conditions in _branches(wanted)
    ]
    if len(parts) == 1:
        return parts[0]
    found = union_all(*(select(part.subquery()) for part in parts)).subquery()
    return select(found).order_by(*order.columns(found.c.number, found.c.id, backwards=backwards)).limit(limit)


def _narrow() -> Select[Any]:
    return select(*(RUNS.c[name] for name in ROW))


def _days(wanted: Wanted) -> list[date]:
    """In UTC, as the indexes have them."""
    first, last = wanted.start.astimezone(UTC).date(), (wanted.end - timedelta(microseconds=1)).astimezone(UTC).date()
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _branches(wanted: Wanted, *, went_on: bool = True) -> list[list[Any]]:
    """No run is in two of them. `went_on`: with those that another one answered than is asked for."""
    asked, only = wanted.asked, wanted.only
    always = [
        RUNS.c.organization_id == asked.organization_id,
        RUNS.c.created_at >= wanted.start,
        RUNS.c.created_at < wanted.end,
        RUNS.c.finished_at.is_not(None),
        RUNS.c.state.not_in([state.value for state in OPEN]),
        RUNS.c.origin != Origin.IMPORT.value,
        *(_is(name, value) for name, value in asked.filters.items() if name not in UNITS),
        *_only(only),
    ]
    if wanted.as_of:
        always.append(RUNS.c.finished_at <= wanted.as_of)
    units = {name: asked.filters[name] for name in _units(asked)}
    hows = [[_met(only.met, units)]] if only.met else _how(units)
    return [[*always, *whose, *how] for whose in _whose(asked) for how in (hows if went_on else hows[:1])]


def _units(asked: Asked) -> list[str]:
    return [name for name in UNITS if name in asked.filters]


def _how(units: dict[str, Value]) -> list[list[Any]]:
    if not units:
        return [[]]
    answered = [_is(name, value) for name, value in units.items()]
    elsewhere = or_(*(not_(is_one_of(_known(name), value)) for name, value in units.items()))
    call = and_(CALLS.c.execution_id == RUNS.c.id, *_calls(units))
    paid = exists().where(LINES.c.attempt_id == CALLS.c.id, call, *_lines(units)).correlate(RUNS)
    return [answered, [RUNS.c.attempts_made > 1, elsewhere, paid]]


def _met(what: str, units: dict[str, Value]) -> ColumnElement[bool]:
    """Is there such a call, of these units? Of runs with one call the run itself says it."""
    call = [CALLS.c.execution_id == RUNS.c.id, *_calls(units)]
    call += [CALLS.c.payer == value for name, value in units.items() if name == "payer"]
    if what == RATE_LIMIT:
        at_once = and_(
            RUNS.c.attempts_made < 2, RUNS.c.error_kind == RATE_LIMIT, *(_is(n, v) for n, v in units.items())
        )
        refused = exists().where(*call, CALLS.c.error_kind == RATE_LIMIT).correlate(RUNS)
        return or_(at_once, and_(RUNS.c.attempts_made > 1, refused))
    follows = and_(_NEXT.c.execution_id == RUNS.c.id, _NEXT.c.number == CALLS.c.number + 1)
    is_same = _NEXT.c.model_id.is_not_distinct_from(CALLS.c.model_id)
    found = exists().where(*call, follows, is_same if what == RETRY else not_(is_same)).correlate(RUNS)
    return and_(RUNS.c.attempts_made > 1, found)


def _whose(asked: Asked) -> list[list[Any]]:
    seen = asked.seen
    if seen.everyone:
        return [[]]
    others = RUNS.c.user_id.is_distinct_from(seen.user_id)
    each = [RUNS.c.project_id == id for id in seen.projects]
    if len(each) > MOST_BRANCHES:
        each = [RUNS.c.project_id.in_(seen.projects)]
    return [[RUNS.c.user_id == seen.user_id], *([project, others] for project in each)]


def _anyones(asked: Asked) -> Any:
    return or_(*(and_(*whose) if whose else true() for whose in _whose(asked)))


def _known(name: str) -> ColumnElement[Any]:
    """As sums have it: nothing is NULL."""
    if name == "payer":
        return func.coalesce(RUNS.c.payer, "nobody")
    return func.coalesce(RUNS.c[name], literal(NIL))


def _is(name: str, value: Value) -> ColumnElement[bool]:
    if name == "outcome":
        return is_one_of(RUNS.c.state, value)
    if name == "error":
        return func.left(RUNS.c.error_kind, 30) == value
    if name == "origin":
        said = case((RUNS.c.repairs_id.is_(None), RUNS.c.origin), else_=REPAIR)
        return and_(said == value, *([] if value == REPAIR else [RUNS.c.origin == value]))
    if name == "payer":
        return is_one_of(_known(name), value)
    if name == TAGS:  # the first is what the index is of
        return and_(RUNS.c.tags != _NO_TAGS, RUNS.c.tags.contains([value]))
    return RUNS.c[name].is_(None) if value == NIL else is_one_of(RUNS.c[name], value)


def _of_calls(asked: Asked) -> list[Any]:
    units = {name: asked.filters[name] for name in _units(asked)}
    return [*_calls(units), *_lines(units)]


def _calls(units: dict[str, Value]) -> list[Any]:
    return [is_one_of(func.coalesce(CALLS.c[n], literal(NIL)), v) for n, v in units.items() if n != "payer"]


def _lines(units: dict[str, Value]) -> list[Any]:
    return [is_one_of(LINES.c.payer, value) for name, value in units.items() if name == "payer"]


def _only(only: Only) -> list[Any]:
    found: list[Any] = []
    if only.rule:
        found.append(RUNS.c.rule_id == only.rule)
    if only.has_no_tags:
        found.append(RUNS.c.tags == _NO_TAGS)
    if only.cost is not None:
        found.append(RUNS.c.cost >= only.cost)
    if only.seconds is not None:
        found.append(RUNS.c.finished_at - RUNS.c.created_at >= timedelta(seconds=only.seconds))
    return found


def until(wanted: Wanted, at: datetime) -> Wanted:
    return replace(wanted, as_of=at)
