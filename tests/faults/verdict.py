"""What came of it: the invariants, what was seen on the way, and the summary that is printed."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from .breakage import Broken
from .client import Manners
from .load import Load
from .stack import Stack

HERE = Path(__file__).parent
NAMED = re.compile(r"^-- (always|at rest): (.+)$", re.M)
SHOWN = 5
LATELY = 1.0
"""Seconds, as in provider.py."""


@dataclass
class Verdict:
    """`broken`: invariant → the rows that break it."""

    faults: Counter[str] = field(default_factory=Counter)
    numbers: dict[str, str] = field(default_factory=dict)
    """Of each kind of fault, in the plan."""
    recovered: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """Of each kind: seconds until a web and until a worker did their work again, after each fault."""
    broken: dict[str, Sequence[Any]] = field(default_factory=dict)
    longest_end: float = 0.0
    states: dict[str, int] = field(default_factory=dict)
    stuck: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    """Recoveries that took longer than they may."""
    left_out: str = ""
    """Faults that were drawn and could not be made here."""

    @property
    def is_good(self) -> bool:
        return not self.broken and not self.stuck

    @property
    def found(self) -> str:
        """What is broken so far, in a line."""
        return ", ".join(f"{len(rows)} × {name}" for name, rows in self.broken.items()) or "0 invariants broken"


def prepare(stack: Stack) -> None:
    with stack.engine.connect() as connection:
        connection.exec_driver_sql((HERE / "watch.sql").read_text())
        connection.commit()


def judge(stack: Stack, load: Load, broken_: Broken, verdict: Verdict) -> None:
    """At a moment when nothing runs."""
    manners = broken_.manners
    _write_down(stack, load, broken_.unheard)
    verdict.broken |= broken(stack)
    if manners.rude:
        verdict.broken["I9 a 5xx without a word, or a secret in an answer"] = manners.rude
    if manners.drained:
        verdict.broken["F15 something was lost in a drain"] = manners.drained
    if verdict.slow:
        verdict.broken["I10 it took too long to come back"] = verdict.slow
    if doubled := _doubled(stack, load):
        verdict.broken["F12 what was sent twice was done twice"] = doubled
    if load.problems:
        verdict.broken["an act came to nothing"] = load.problems
    states = stack.ask("SELECT state, count(*) FROM executions GROUP BY state ORDER BY state")
    verdict.states = {row.state: row.count for row in states}


def broken(stack: Stack) -> dict[str, Sequence[Any]]:
    """Every invariant that something breaks, and what."""
    views, *_ = NAMED.split(_script())
    with stack.engine.begin() as connection:
        connection.exec_driver_sql(views)
    return _breaking(stack, ("always", "at rest"))


def broken_by_now(stack: Stack) -> dict[str, Sequence[Any]]:
    """Of those that hold at every moment; nothing where the database does not answer just now."""
    with suppress(SQLAlchemyError):
        return _breaking(stack, ("always",))
    return {}


def _script() -> str:
    return (HERE / "invariants.sql").read_text()


def _breaking(stack: Stack, when: Sequence[str]) -> dict[str, Sequence[Any]]:
    _, *parts = NAMED.split(_script())
    found: dict[str, Sequence[Any]] = {}
    with stack.engine.connect() as connection:
        for moment, name, query in zip(*[iter(parts)] * 3, strict=True):
            if moment in when and (rows := connection.exec_driver_sql(query).all()):
                found[name] = [dict(row._mapping) for row in rows]
        connection.rollback()
    return found


_NOT_REFUSED = """
    SELECT said.id FROM unnest(CAST(:ids AS text[])) AS said (id)
    WHERE NOT EXISTS (
        SELECT FROM faults.runs r JOIN executions e ON e.id = r.id WHERE said.id IN (r.id::text, e.session_id::text)
        HAVING bool_and(r.is_refused))"""


def _doubled(stack: Stack, load: Load) -> list[str]:
    several = [one for one in load.same if len(one.ids) > 1]
    counted = {one.what: len(stack.ask(_NOT_REFUSED, ids=list(one.ids))) for one in several}
    return [f"{what}: {count}" for what, count in counted.items() if count > 1]


def _write_down(stack: Stack, load: Load, unheard: Sequence[tuple[float, float]]) -> None:
    """What was asked and what the provider says, as tables."""
    calls: dict[str, dict[str, Any]] = {}
    for line in stack.calls.read_text().splitlines() if stack.calls.exists() else ():
        said = json.loads(line)
        calls[said["call"]] = calls.get(said["call"], {}) | said
    asked = [vars(one) for one in load.asked]
    rows = [
        {
            "call": one["call"],
            "mark": one["mark"],
            "at": one["at"],
            "ended": one.get("ended"),
            "status": one.get("status"),
            "whole": one.get("whole"),
            "input": one["input"],
            "output": one.get("output"),
            "early": _early(one, unheard),
            "reported": json.dumps(one["reported"]) if one.get("reported") else None,
            "said": one.get("text", "").replace("\0", ""),
        }
        for one in calls.values()
    ]
    with stack.engine.begin() as connection:
        connection.execute(text("TRUNCATE faults.asked, faults.calls"))
        if asked:
            connection.execute(text("INSERT INTO faults.asked VALUES (:mark, :kind, :runs, :is_sure)"), asked)
        if rows:
            connection.execute(
                text("""
                    INSERT INTO faults.calls VALUES (:call, :mark, to_timestamp(:at), to_timestamp(:ended), :status,
                        :whole, :input, :output, :early, CAST(:reported AS jsonb), :said)"""),
                rows,
            )


def _early(call: dict[str, Any], unheard: Sequence[tuple[float, float]]) -> int | None:
    """Tokens that somebody could hear: of a process that stood still, or was taken for dead, those before that."""
    early, ended_at = call.get("early"), call.get("ended") or float("inf")
    since = min((since for since, until in unheard if call["at"] < until and ended_at > since), default=None)
    if early is None or since is None:
        return early
    return min(early, sum(at < since - LATELY for at in call.get("times", ())))


# -- in words ------------------------------------------------------------------------------------


def told(verdict: Verdict, manners: Manners, seed: int, seconds: float) -> str:
    lines = [f"seed {seed}, {verdict.faults.total():,} faults in {seconds / 60:.1f} minutes", ""]
    lines += ["  plan  fault                      times   web back (median, most)   worker back (median, most)"]
    for name, times in sorted(verdict.faults.items(), key=lambda one: (_order(verdict.numbers[one[0]]), one[0])):
        back = verdict.recovered.get(name, [])
        web, worker = _spread(one for one, _ in back), _spread(one for _, one in back)
        lines.append(f"  {verdict.numbers[name]:<5} {name:<26} {times:>5}   {web:<24}  {worker}")
    if verdict.left_out:
        lines.append(f"  left out: {verdict.left_out}")
    lines += ["", f"  executions: {', '.join(f'{count:,} {state}' for state, count in verdict.states.items())}"]
    lines.append(f"  longest until all had ended, after load and faults: {verdict.longest_end:.0f} s")
    lines.append(f"  answers: {_counts(manners.statuses)}")
    lines.append(
        f"  connections broken: {', '.join(f'{n} × {name}' for name, n in sorted(manners.broken.items())) or 0}"
    )
    lines.append(f"  stuck: {len(verdict.stuck)}")
    for name in sorted(verdict.broken):
        rows = verdict.broken[name]
        lines += ["", f"  BROKEN {name}: {len(rows)}", *(f"    {row}" for row in rows[:SHOWN])]
    lines += [f"    stuck: {one}" for one in verdict.stuck[:SHOWN]]
    if verdict.is_good:
        lines += ["", "  0 invariants broken: 0 lost, 0 stuck, 0 calls repeated, 0 drift"]
    return "\n".join(lines)


def _order(number: str) -> int:
    return int(number.removeprefix("F"))


def _spread(values: Iterable[float]) -> str:
    found = sorted(values)
    return f"{found[len(found) // 2]:5.1f} s  {found[-1]:5.1f} s" if found else ""


def _counts(counter: Counter[int]) -> str:
    return ", ".join(f"{count:,} × {status}" for status, count in sorted(counter.items()))
