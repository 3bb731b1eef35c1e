"""What is left of a limit over its window, and where it leads by the window's end.

What was spent by when is read from the sums where they know the limit's subject, and where the viewer may see all that
it counts; elsewhere only the straight lines between what is known: all of it at the start, what is left now. What is
left now, and the forecast, are always the limit's own (quota.standing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from .. import currencies, formats
from ..limits import words
from ..limits.balance import Line
from ..models import Payer, Scope, Unit, Window
from ..models.rollups import Grain
from ..quota import OPERATORS
from . import figures, ranges, sums
from .filters import Filters
from .panels import FILTERS, Cell, Panel, runs_of, usd
from .ranges import Range
from .sums import Asked, Sums, Value

DIMENSIONS: dict[Scope, str] = {
    Scope.PROJECT: "project_id",
    Scope.MEMBER: "user_id",
    Scope.KEY: "api_key_id",
    Scope.PROVIDER: "provider_id",
    Scope.MODEL: "model_id",
}
OF_THE_RUN = (Scope.ORGANIZATION, Scope.PROJECT, Scope.MEMBER)
"""What all calls of a run have in common: only of these do the sums count tokens and calls as limits do."""
USED = {Unit.USD: "cost", Unit.TOKENS: "tokens", Unit.REQUESTS: "attempts"}


def panel(line: Line, filters: Filters) -> Panel:
    """Of a limit whose window ends."""
    standing, unit, zone, at = line.standing, line.budget.unit, filters.range.zone, filters.range.at
    over = _so_far(line, zone, at)
    asked = _asked(line, filters) if over else None
    spent = _spent(asked, over, unit) if asked and over else []
    points = [(standing.starts_at, standing.limit)]
    rows = []
    if over and asked:
        left = standing.limit
        for n, used in enumerate(spent):
            left -= used
            if over.edges[n + 1] <= at:
                points.append((over.edges[n + 1], left))
            rows.append(
                [_slot(over, n), _used(used, unit, _opens(filters, over, n, asked)), *_two(standing.limit, left, unit)]
            )
    now_left = standing.limit - standing.spent
    points.append((at, now_left))
    ahead = _ahead(line, at, now_left)
    rows.append([_at("Now", at), _none(), *_two(standing.limit, now_left, unit)])
    if standing.forecast is not None and standing.ends_at:
        end = standing.limit - standing.forecast
        rows.append([_at("At the end, at this pace", standing.ends_at), _none(), *_two(standing.limit, end, unit)])
    note = line.forecast.text if line.forecast else "Too little is known yet to say where it leads."
    figure = figures.burn_down(
        [_drawn(point, unit, zone) for point in points],
        [_drawn(point, unit, zone) for point in ahead],
        [_drawn(point, unit, zone) for point in _even(line)],
        figures.MONEY if unit is Unit.USD else "",
    )
    footer = (
        ""
        if spent
        else "By when it was used is not shown of this limit: the line is straight from its beginning to now."
    )
    title = f"{line.subject.title}, {words.size(line.budget.limit, unit, line.budget.window)}"
    columns = ["Time", "Used in it", "Used so far", "Left"]
    return Panel(f"left-{line.budget.id}", title, columns, rows, figure, note, footer=footer)


def _so_far(line: Line, zone: ZoneInfo, at: datetime) -> Range | None:
    """The window until now, in hours or days. None: it does not begin with a day of the organization's, which has
    moved to another time zone since, or which the operator's limit does not go by."""
    start = line.standing.starts_at.astimezone(zone)
    if start.timetz().replace(tzinfo=None) != time():
        return None
    if line.budget.window is Window.DAY:
        count = int((at - start) / ranges.HOUR) + 1
        edges = tuple(start.astimezone(ZoneInfo("UTC")) + n * ranges.HOUR for n in range(count + 1))
        return Range("", "", Grain.HOUR, edges, zone, at)
    today = at.astimezone(zone).date()
    return Range("", "", Grain.DAY, ranges.days(start.date(), today, zone), zone, at)


def _asked(line: Line, filters: Filters) -> Asked | None:
    """What the sums are asked for, so that they count what the limit counts. None: they cannot, or not for this one."""
    budget, seen = line.budget, filters.asked.seen
    dimension = DIMENSIONS.get(budget.scope)
    if dimension is None and budget.scope is not Scope.ORGANIZATION:
        return None
    if budget.unit is not Unit.USD and (budget.scope not in OF_THE_RUN or line.is_operators):
        return None
    sees_all = (
        seen.everyone
        or (budget.scope is Scope.MEMBER and budget.subject_id == seen.user_id)
        or (budget.scope is Scope.PROJECT and budget.subject_id in seen.projects)
    )
    if not sees_all:
        return None
    where: dict[str, Value] = {dimension: budget.subject_id} if dimension else {}
    if line.is_operators:
        where["payer"] = tuple(payer.value for payer in Payer if budget.unit in OPERATORS[payer])
    return replace(filters.asked, filters=where)


def _spent(asked: Asked, over: Range, unit: Unit) -> list[int]:
    found = sums.series(asked, over)
    return [getattr(found.get((slot, None), Sums()), USED[unit]) for slot in over.slots]


def _ahead(line: Line, at: datetime, left: int) -> list[tuple[datetime, int]]:
    """From now to the end, or to where a hard limit is used up."""
    standing = line.standing
    if standing.forecast is None or standing.ends_at is None:
        return []
    end = standing.limit - standing.forecast
    if line.budget.is_hard and end < 0:
        if left <= 0:
            return []
        return [(at, left), (at + (standing.ends_at - at) * (left / (left - end)), 0)]
    return [(at, left), (standing.ends_at, end)]


def _even(line: Line) -> list[tuple[datetime, int]]:
    standing = line.standing
    return [(standing.starts_at, standing.limit), (standing.ends_at or standing.starts_at, 0)]


def _drawn(point: tuple[datetime, int], unit: Unit, zone: ZoneInfo) -> tuple[str, float]:
    at, number = point
    return f"{at.astimezone(zone):%Y-%m-%dT%H:%M}", currencies.here().drawn(number) if unit is Unit.USD else number


def _two(limit: int, left: int, unit: Unit) -> Sequence[Cell]:
    return _used(limit - left, unit), _used(left, unit)


def _used(number: int, unit: Unit, url: str = "") -> Cell:
    if unit is Unit.USD:
        return Cell(formats.money(number), usd(number), url)
    return Cell(("−" if number < 0 else "") + words.amount(abs(number), unit), number, url)


def _none() -> Cell:
    return Cell("–", "")


def _at(said: str, at: datetime) -> Cell:
    return Cell(said, at.isoformat())


def _slot(over: Range, n: int) -> Cell:
    slot = over.slots[n]
    return Cell(f"{slot:%a %-d %b}" if over.grain is Grain.DAY else f"{slot:%H:%M}", slot.isoformat())


def _opens(filters: Filters, over: Range, n: int, asked: Asked) -> str:
    """The runs of one slot that the limit counts."""
    first, last = ranges.named(over, n)
    only: dict[str, Any] = {
        FILTERS[name]: value for name, value in asked.filters.items() if not isinstance(value, tuple)
    }
    payers = asked.filters.get("payer")
    if isinstance(payers, tuple) and len(payers) == 1:
        only["payer"] = payers[0]
    return runs_of(filters, {"range": ranges.CUSTOM, "from": first, "to": last}, **only)
