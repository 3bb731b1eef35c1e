"""Runs as lines of a file, CSV or JSON, in the order of time from the newest on: what explorer pages show, and all of
it. A few hundred are in memory at once, however many there are.

Money is exact, in USD as text: the sum of `cost_usd` is what the dashboard shows for the same filters.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from ..formats import BYTE_ORDER_MARK, csv_line
from ..models.base import NIL
from ..models.rollups import TOKENS
from . import runs
from .explorer import HIDDEN, blind_among, rules_of
from .filters import BY_ID
from .names import called, names_of
from .panels import usd
from .runs import Wanted
from .sorting import Order

CHUNK = 1_000
COLUMNS = (
    *("id", "asked_at", "ended_at", *BY_ID, "payer", "type", "asked_by"),
    *("requested", "rule", "tags", "outcome", "error"),
    *("calls", *TOKENS, "cost_usd", "price_is_unknown", "first_token_seconds", "total_seconds"),
)
FORMS = {"csv": "text/csv", "jsonl": "application/jsonl"}


def chunks(wanted: Wanted) -> Iterator[list[tuple[dict[str, Any], int]]]:
    """[(record, nano-USD)], of one state of things: what ends meanwhile is left out. The caller ends the transaction
    after each."""
    names: dict[Any, str] = {}
    after = None
    while True:
        found = runs.page(wanted, Order(), CHUNK, after, None, by_day=False)
        if not found.rows:
            return
        yield _records(found.rows, wanted, names)
        if found.older is None:
            return
        after = found.older


def first_line(form: str) -> str:
    return BYTE_ORDER_MARK + csv_line(COLUMNS) if form == "csv" else ""


def line(form: str) -> Callable[[dict[str, Any]], str]:
    return _csv if form == "csv" else _json


def _csv(record: dict[str, Any]) -> str:
    return csv_line(["" if value is None else _plain(value) for value in record.values()])


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def _records(rows: list[Any], wanted: Wanted, names: dict[Any, str]) -> list[tuple[dict[str, Any], int]]:
    ids = [row.id for row in rows]
    costs, blind = runs.costs(rows, wanted.asked), blind_among(ids)
    unknown = {getattr(row, column) for row in rows for column in BY_ID.values()} - names.keys()
    names |= dict.fromkeys(unknown, "") | names_of(unknown)
    rules = rules_of(row.rule_id for row in rows)
    return [(_record(row, costs.get(row.id, 0), names, rules, row.id in blind), costs.get(row.id, 0)) for row in rows]


def _record(row: Any, cost: int, names: dict[Any, str], rules: dict[Any, str], is_blind: bool) -> dict[str, Any]:
    record = {
        "id": str(row.id),
        "asked_at": row.created_at.isoformat(),
        "ended_at": row.finished_at.isoformat(),
        **{name: _called(column, getattr(row, column), names) for name, column in BY_ID.items()},
        "payer": row.payer.value if row.payer else "nobody",
        "type": row.model_type.value.lower(),
        "asked_by": "repair" if row.repairs_id else row.origin.value,
        "requested": row.requested,
        "rule": rules.get(row.rule_id),
        "tags": ", ".join(row.tags),
        "outcome": row.state.value,
        "error": row.error_kind,
        "calls": row.attempts_made,
        **{name: getattr(row, name) for name in TOKENS},
        "cost_usd": usd(cost),
        "price_is_unknown": row.cost is None,
        "first_token_seconds": _seconds(row.created_at, row.first_token_at),
        "total_seconds": _seconds(row.created_at, row.finished_at),
    }
    return record | dict.fromkeys(_TELLING) | {"id": None, "model": HIDDEN} if is_blind else record


_TELLING = ("provider", "model", "key", "requested", *TOKENS, "first_token_seconds", "total_seconds", "ended_at")
"""What would tell which answer of a blind comparison is whose."""


def _called(column: str, id: uuid.UUID | None, names: dict[Any, str]) -> str | None:
    return (names[id] or called(column, id, {})) if id and id != NIL else None


def _seconds(start: datetime, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 3) if end else None
