"""What is on the page of a week or month: plain values, the same for the browser, for mail and for programs.

Everything is said in words here, so that a worker, which knows no page, can write the same. Addresses are paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from .. import currencies, formats
from ..dashboards import sums
from ..dashboards.filters import DIMENSIONS, PROBLEMS
from ..dashboards.names import called, names_of
from ..dashboards.panels import percent
from ..dashboards.sums import Asked, Sums
from ..models import Organization
from ..models.executions import State
from ..sums_seen import SumsSeen
from . import budget, savings
from .budget import Met
from .periods import Kind, Period

MOST = 5
"""Rows of each table."""
TABLES = {
    "project_id": ("Projects", "Project"),
    "user_id": ("People", "Person"),
    "model_id": ("Models", "Model"),
}
FILTER = {dimension: name for name, dimension in DIMENSIONS.items()}
ALL, OWN = "All runs of the organization", "Your own runs, and those of projects you were let into"


@dataclass(frozen=True)
class Fact:
    label: str
    said: str
    change: str
    """Against the period before; empty: there is nothing to compare with."""
    path: str


@dataclass(frozen=True)
class Day:
    label: str
    said: str
    part: int
    """Of the dearest day, in percent."""
    path: str


@dataclass(frozen=True)
class Row:
    name: str
    cells: tuple[str, ...]
    part: int
    path: str


@dataclass(frozen=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    further: str = ""
    """How many rows are not shown."""


@dataclass(frozen=True)
class Summary:
    organization: str
    label: str
    of: str
    """Whose runs these are."""
    is_running: bool
    is_empty: bool
    headline: str
    facts: tuple[Fact, ...]
    days: tuple[Day, ...]
    outlook: str
    tables: tuple[Table, ...]
    met: tuple[Met, ...]
    savings: str
    unpriced: str
    rate: str
    """By which amounts are shown in another currency than US dollars; empty: in these."""
    path: str
    spend: int
    """Nano-USD, as are the next; for programs."""
    spend_before: int
    runs: int
    failed: int
    tokens: int
    starts_on: str
    ends_on: str


def summary(organization: Organization, period: Period, seen: SumsSeen, at: datetime) -> Summary:
    """In the currency that is shown (currencies.here)."""
    asked, over, before = Asked(organization.id, seen, {}), period.range(at), (period.before.span,)
    is_running = period.runs_still(at)
    days = {slot: one for (slot, _), one in sums.series(asked, over).items()}
    now_ = sum(days.values(), Sums())
    was = Sums() if is_running else sums.totals(asked, before)
    slow = sums.percentiles(asked, (over.span,)).get((None, None))
    was_slow = None if is_running else sums.percentiles(asked, before).get((None, None))
    link = Links(organization.slug, period)
    facts = _facts(now_, was, slow, was_slow, link)
    groups = {by: sums.groups(asked, (over.span,), by) for by in (*TABLES, "error")}
    before_groups = {} if is_running else {by: sums.groups(asked, before, by) for by in TABLES}
    shown = currencies.here()
    names = names_of([what for by in TABLES for what in groups[by]])
    tables = [_ranked(by, groups[by], before_groups.get(by, {}), names, link) for by in TABLES]
    return Summary(
        organization=organization.name,
        label=period.label,
        of=ALL if seen.everyone else OWN,
        is_running=is_running,
        is_empty=not now_.runs and not now_.cost,
        headline=_headline(period, now_, was, is_running),
        facts=facts,
        days=_days(days, over.slots, link) if now_.cost else (),
        outlook=budget.outlook(organization, asked, period, at),
        tables=tuple(one for one in (*tables, _errors(groups["error"], link)) if one.rows),
        met=budget.met(organization, seen, period),
        savings=savings.told(asked, over, groups["model_id"]),
        unpriced=_unpriced(now_.unpriced),
        rate=f"Amounts are roughly in {shown.code}, at {shown.rate}." if shown.rate else "",
        path=link.here,
        spend=now_.cost,
        spend_before=was.cost,
        runs=now_.runs,
        failed=now_.failed,
        tokens=now_.tokens,
        starts_on=period.first.isoformat(),
        ends_on=period.last.isoformat(),
    )  # fmt: skip


@dataclass(frozen=True)
class Links:
    """Paths of the dashboard for this period."""

    slug: str
    period: Period

    @property
    def here(self) -> str:
        return f"/o/{self.slug}/summaries/{self.period.address}"

    def runs(self, **more: str) -> str:
        return self._of("runs", more)

    def spend(self, **more: str) -> str:
        return self._of("spend", more)

    def day(self, day: str) -> str:
        return f"/o/{self.slug}/dashboard/runs?{urlencode({'range': 'custom', 'from': day, 'to': day})}"

    def _of(self, page: str, more: Mapping[str, str]) -> str:
        dates = {"range": "custom", "from": self.period.first.isoformat(), "to": self.period.last.isoformat()}
        return f"/o/{self.slug}/dashboard/{page}?{urlencode(dates | dict(more))}"


def change(value: float | None, before: float | None) -> str:
    """+12 %, −3 %, ±0 %, ×14.0; empty where there is nothing to compare with."""
    if not before or value is None:
        return ""
    part = (value - before) / before
    if part > 9.99:
        return f"×{value / before:,.1f}"
    return f"{part:+.0%}".replace("-", "−").replace("%", " %") if round(part, 2) else "±0 %"


def _headline(period: Period, now_: Sums, was: Sums, is_running: bool) -> str:
    spent = f"{formats.money(now_.cost)} for {now_.runs:,} {'run' if now_.runs == 1 else 'runs'}"
    if is_running:
        return f"{spent} so far"
    than = f" ({changed} against the {period.kind} before)" if (changed := change(now_.cost, was.cost)) else ""
    return f"{spent}{than}"


def _facts(
    now_: Sums, was: Sums, slow: tuple[float, ...] | None, was_slow: tuple[float, ...] | None, link: Links
) -> tuple[Fact, ...]:
    first, second = slow or (None, None, None), was_slow or (None, None, None)
    completed = State.COMPLETED.value
    return (
        Fact("Spend", formats.money(now_.cost), change(now_.cost, was.cost), link.runs(sort="cost")),
        Fact("Runs", formats.count(now_.runs), change(now_.runs, was.runs), link.runs()),
        Fact("Tokens", formats.count(now_.tokens), change(now_.tokens, was.tokens), link.runs()),
        Fact("Errors", percent(now_.error_rate), change(now_.error_rate, was.error_rate), link.runs(outcome=PROBLEMS)),
        Fact("Latency, p50", formats.duration(first[0]), change(first[0], second[0]), link.runs(outcome=completed)),
        Fact("Latency, p95", formats.duration(first[1]), change(first[1], second[1]),
             link.runs(outcome=completed, sort="latency")),
    )  # fmt: skip


def _days(found: Mapping[datetime, Sums], slots: list[datetime], link: Links) -> tuple[Day, ...]:
    most = max((one.cost for one in found.values()), default=0)
    return tuple(
        Day(f"{slot:%a %-d %b}", formats.money(cost), _part(cost, most), link.day(f"{slot:%Y-%m-%d}"))
        for slot in slots
        for cost in (found.get(slot, Sums()).cost,)
    )


def _ranked(
    by: str, found: Mapping[Any, Sums], before: Mapping[Any, Sums], names: dict[Any, str], link: Links
) -> Table:
    order = sorted(found, key=lambda what: (-found[what].cost, -found[what].runs, str(what)))
    most = max((found[what].cost for what in order), default=0)
    title, column = TABLES[by]
    rows = tuple(
        Row(
            called(by, what, names),
            (
                formats.money(found[what].cost),
                formats.count(found[what].runs),
                change(found[what].cost, before[what].cost if what in before else 0) or formats.DASH,
            ),
            _part(found[what].cost, most),
            link.spend(**{FILTER[by]: str(what)}),
        )
        for what in order[:MOST]
    )
    further = f"and {len(order) - MOST} more" if len(order) > MOST else ""
    return Table(title, (column, "Spend", "Runs", "Change"), rows, further)


def _errors(found: Mapping[Any, Sums], link: Links) -> Table:
    failed = {what: one.failed for what, one in found.items() if one.failed and what}
    order = sorted(failed, key=lambda what: (-failed[what], what))
    rows = tuple(
        Row(called("error", what, {}), (formats.count(failed[what]),), _part(failed[what], failed[order[0]]),
            link.runs(error=what))
        for what in order[:MOST]
    )  # fmt: skip
    return Table("What failed", ("Error", "Runs"), rows, f"and {len(order) - MOST} more" if len(order) > MOST else "")


def _part(value: int, most: int) -> int:
    return max(1, round(100 * value / most)) if value and most else 0


def _unpriced(runs: int) -> str:
    if not runs:
        return ""
    return f"The price of {formats.count(runs)} {'run is' if runs == 1 else 'runs is'} unknown, and not in these sums."


KINDS = {Kind.WEEK: "summary.week", Kind.MONTH: "summary.month"}
"""The kinds of notices."""
