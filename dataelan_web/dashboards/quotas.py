"""How every limit that one may see stands: what is spent, held and left, when it resets, and where it leads by then.

Which limits, and what of them, is what the page of limits shows the same person (access, quota.standing).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from flask import g, url_for

from .. import access
from ..extensions import db
from ..limits import balance, increases, place, words
from ..limits.balance import Line
from ..limits.subjects import names_of
from ..models import Budget, Increase, Measure, Scope, Unit
from . import burning
from .filters import Filters
from .panels import Cell, Panel, usd

PAGE = "quota"
FILTERS = {
    "project": Scope.PROJECT,
    "member": Scope.MEMBER,
    "provider": Scope.PROVIDER,
    "model": Scope.MODEL,
    "key": Scope.KEY,
}
"""The filters that mean something here: only the limits on this one. Each limit has windows of its own."""
DRAWN = 60
"""Gauges on the page; the table has all."""
BURNING = 6


def page(filters: Filters) -> dict[str, Any]:
    lines = seen(filters)
    ending = [line for line in lines if line.standing.ends_at is not None]
    burnt = [burning.panel(line, filters) for line in ending[:BURNING]]
    left_out = len(ending) - len(burnt)
    return {"panels": [gauges(lines, left_out), *burnt, waiting()]}


def seen(filters: Filters) -> list[Line]:
    """The tightest first: what refuses before what only tells, then what is used most of."""
    query = access.scoped(Budget).order_by(Budget.id).limit(balance.MOST)
    chosen = {
        (scope, uuid.UUID(filters.said[name])) for name, scope in FILTERS.items() if name in filters.said
    }  # each alone: a limit is on one subject
    budgets = [one for one in db.session.scalars(query) if not chosen or (one.scope, one.subject_id) in chosen]
    found = balance.lines(budgets)
    found.sort(key=lambda line: (-line.budget.is_hard, -line.standing.percent, line.subject.name, line.budget.id))
    return found


def gauges(lines: Sequence[Line], left_out: int) -> Panel:
    columns = ["Limit", "On", "Window", "Spent", "Held", "Left", "Of", "At the end", "Resets"]
    footer = [f"The first {DRAWN} of {len(lines)} are drawn; the table has all."] if len(lines) > DRAWN else []
    if left_out:
        footer.append(
            f"What is left over time is shown of the {BURNING} that are nearest to their end; filter for others."
        )
    return Panel(
        "limits", "Limits", columns, [_row(line) for line in lines], None, _next_reset(lines),
        empty="Nothing that you may see is limited. Limits are set under Limits, in the menu.", footer=" ".join(footer),
        gauges=lines[:DRAWN],
    )  # fmt: skip


def _row(line: Line) -> list[Cell]:
    standing, budget = line.standing, line.budget
    ends = standing.ends_at.isoformat() if standing.ends_at else "never"
    amounts = (standing.spent, standing.reserved, standing.left, standing.limit, standing.forecast)
    return [
        Cell(line.subject.name, url=limit_url(budget.id), hint="This limit"),
        Cell("The operator’s" if line.is_operators else budget.scope.value.capitalize()),
        Cell(words.THIS[budget.window].capitalize()),
        *(amount(one, budget.unit) for one in amounts),
        Cell(f"in {line.resets_in}" if line.resets_in else "never", ends),
    ]


def _next_reset(lines: Sequence[Line]) -> str:
    first = min(((one.standing.ends_at, one) for one in lines if one.standing.ends_at), key=lambda pair: pair[0],
                default=None)  # fmt: skip
    if first is None:
        return ""
    line = first[1]
    return f"Next to reset: {line.subject.title}, in {line.resets_in} ({line.resets_at})."


def amount(number: int | None, unit: Measure) -> Cell:
    """Money in USD; all else as it is counted."""
    exact = "" if number is None else usd(number) if unit is Unit.USD else number
    return Cell(words.amount(number, unit), exact)


def limit_url(id: uuid.UUID) -> str:
    """Where it is changed."""
    return url_for("limits.limit", id=id)


def _answered_at(one: Increase) -> str:
    """Where it is answered: on its limit's page; of a rate, which has none, among the limits."""
    page = limit_url(one.budget.id) if one.budget else url_for("limits.overview")
    return f"{page}#increase-{one.id}"


def _size(one: Increase) -> str:
    return "" if place.is_hidden(one.of) else words.size_of(one.of, one.counted_in)


def waiting() -> Panel:
    """Requests for more that nobody has answered: for owners and admins all of them, for others their own. Of a limit
    that counts other organizations too, neither what it is on nor how much it is."""
    found = increases.to_answer()
    names = names_of((one.of.scope, one.of.subject_id) for one in found)
    can_answer = access.may(access.ADMINISTER)
    zone = ZoneInfo(g.organization.time_zone)
    rows = [
        [
            Cell("The operator’s") if place.is_hidden(one.of)
            else Cell(names[one.of.scope, one.of.subject_id].title, url=_answered_at(one),
                      hint="Answer it" if access.may(access.ADMINISTER, one.of) else "How it stands"),
            Cell(one.asker.name if one.asker else "Somebody who has left"),
            amount(one.asked, one.counted_in),
            Cell(_size(one)),
            Cell(f"{one.created_at.astimezone(zone):%-d %b %H:%M}", one.created_at.isoformat()),
        ]
        for one in found
    ]  # fmt: skip
    title = "They ask for more" if can_answer else "You asked for more"
    note = "Each leads to where it is answered; the operator’s limits are the operator’s to answer."
    note = note if can_answer else "Whoever can answer it is told."
    columns = ["Limit", "Asked by", "More", "Now", "When"]
    return Panel("waiting", title, columns, rows, None, note if rows else "", True, empty="No request waits.")
