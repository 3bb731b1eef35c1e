"""The explorer of runs: which runs a number is made of. What it counts it reads from the sums, as every page does."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from flask import g, url_for
from sqlalchemy import select

from .. import access
from ..extensions import db
from ..models import Execution, RoutingRule, now
from ..models.base import NIL
from ..models.measured import Measured
from . import runs, sums
from .filters import BY_ID
from .names import called, names_of
from .runs import UNITS, Wanted
from .sorting import TIME
from .sums import Asked, Sums
from .view import View, since

SIZE = 50
SORTED_AT_ONCE = 25_000
"""Runs that are read and sorted for a page. More are read from an index, the highest of each day."""
READ_AT_ONCE = 60_000
"""Entries of such an index that are read for a page."""
LOOKED_AT = 50_000
"""Runs that are looked at one by one, for what the sums do not know."""
NOT_YET = timedelta(hours=1)
"""What ended just now was asked so long ago at most, nearly always; sums have it some seconds later."""
MOST_OPEN = 20
HIDDEN = "Hidden"
"""Of a blind comparison nobody has chosen in: model, cost and speed would tell which answer is whose."""


class TooMany(ValueError):
    """The message is for the person."""


class Run(Measured, SimpleNamespace):
    """A row of runs.page: its columns, and what follows from them."""


@dataclass(frozen=True)
class Line:
    """A run in the list."""

    row: Run
    names: dict[str, str]
    """Of its project, member, provider, model, key and rule."""
    cost: int | None
    """Of its calls that fit the filters, in nano-USD; None: unknown."""
    url: str
    """Empty: one may not, or cannot any more, read what was said."""
    is_blind: bool
    went_on: bool
    """Another model answered: it is listed for what its call to the one asked for cost."""
    is_new: bool


@dataclass(frozen=True)
class Head:
    """What is listed, as the sums have it."""

    sums: Sums
    of: int | None = None
    """Where only some of the runs that sums know are listed: how many those are."""


def page(view: View) -> dict[str, Any]:
    """Raises TooMany."""
    whole = sums.totals(view.filters.asked, (view.filters.range.span,))
    by_day = _by_day(view, whole.runs)
    found = runs.page(_sought(view, whole), view.order, SIZE, view.after, view.before, by_day=by_day)
    still = runs.open_now(view.filters.asked, MOST_OPEN) if view.can_be_watched and not view.only else []
    return {
        "head": _head(view, whole),
        "lines": lines(found.rows, view.filters.asked, since(view)),
        "open": lines(still, Asked(g.organization.id, view.filters.asked.seen), None),
        "most_open": MOST_OPEN,
        "older": found.older and view.but(after=str(found.older)),
        "newer": found.newer and view.but(before=str(found.newer)),
        "is_first": not (view.after or view.before) or found.newer is None,
    }


def _sought(view: View, whole: Sums) -> Wanted:
    """Where the sums have nothing, only what they may not have yet."""
    wanted = view.wanted
    return wanted if whole.runs or whole.cost else replace(wanted, start=max(wanted.start, now() - NOT_YET))


def _by_day(view: View, count: int) -> bool:
    """Is the page read from the index of each day? Raises TooMany for what would take too long either way."""
    if view.only and count > LOOKED_AT:
        raise TooMany(
            f"By rule, calls, least cost or time, or without tags, runs are looked at one by one, {LOOKED_AT:,} at "
            f"most; here are {count:,}. Choose a shorter time, or filter by something else too."
        )
    sort = view.order.sort
    if sort is TIME or count <= SORTED_AT_ONCE:
        return False
    everyone = Asked(view.filters.asked.organization_id, replace(view.filters.asked.seen, everyone=True))
    among = sums.totals(everyone, (view.filters.range.span,)).runs
    days = (view.filters.range.end - view.filters.range.start).days + 1
    if sort.is_indexed and not view.only and days * SIZE * max(among, 1) <= READ_AT_ONCE * count:
        return True
    raise TooMany(
        f"{count:,} runs are too many to be sorted by {sort.label.lower()}"
        + (" in so many days" if sort.is_indexed else f"; {SORTED_AT_ONCE:,} can be")
        + ". Choose a shorter time, or filter by something else too."
    )


def _head(view: View, whole: Sums) -> Head:
    if not view.only:
        return Head(whole)
    count, cost = runs.counted(view.wanted)
    return Head(Sums(runs=count, cost=cost), whole.runs)


def lines(rows: Sequence[Any], asked: Asked, new_since: datetime | None) -> list[Line]:
    ids = [row.id for row in rows]
    cost, readable, blind = runs.costs(rows, asked), _readable(ids), blind_among(ids)
    names = names_of(id for row in rows for id in (row.project_id, row.user_id, *_units_of(row)))
    rules = rules_of(row.rule_id for row in rows)
    return [
        Line(
            Run(**row._mapping),
            {**_named(row, names), "rule": rules.get(row.rule_id, "")},
            cost.get(row.id, None if row.cost is None else 0),
            url_for("playground.execution", id=row.id) if row.id in readable and row.id not in blind else "",
            row.id in blind,
            any(_known(row, name) != value for name, value in asked.filters.items() if name in UNITS),
            bool(new_since and row.finished_at and row.finished_at > new_since),
        )
        for row in rows
    ]


def blind_among(ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    query = select(Execution.id).where(Execution.id.in_(ids), Execution.blind_in.is_not(None))
    return set(db.session.scalars(query)) if ids else set()


def rules_of(ids: Iterable[uuid.UUID | None]) -> dict[Any, str]:
    wanted = {id for id in ids if id}
    query = select(RoutingRule.id, RoutingRule.name).where(RoutingRule.id.in_(wanted))
    return dict(db.session.execute(query).all()) if wanted else {}


def choices() -> dict[str, list[tuple[str, str]]]:
    """What else runs can be narrowed to: rules, by name, and what their calls came to."""
    rules = db.session.execute(access.scoped(RoutingRule).with_only_columns(RoutingRule.id, RoutingRule.name)).all()
    by_name = sorted(((str(id), name) for id, name in rules), key=lambda pair: pair[1].lower())
    return {"rule": by_name, "met": [*runs.MET.items()]}


def _readable(ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    query = access.scoped(Execution).with_only_columns(Execution.id).where(Execution.id.in_(ids))
    return set(db.session.scalars(query)) if ids else set()


def _units_of(row: Any) -> tuple[Any, ...]:
    return row.provider_id, row.model_id, row.api_key_id


def _named(row: Any, names: dict[Any, str]) -> dict[str, str]:
    return {name: called(column, getattr(row, column) or NIL, names) for name, column in BY_ID.items()}


def _known(row: Any, name: str) -> Any:
    value = getattr(row, name)
    return (value or "nobody") if name == "payer" else value or NIL
