"""A comparison in its session: one run stands for all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from ...extensions import db
from ...models import Comparison, ComparisonRun, Execution

_RUNS = selectinload(Comparison.runs).joinedload(ComparisonRun.execution).load_only(Execution.state)


@dataclass(frozen=True)
class Row:
    """A comparison as its session tells of it. `names`: none before they may be known."""

    comparison: Comparison
    columns: int
    names: list[str]
    chosen: str
    answers: int
    ended: int

    @property
    def is_open(self) -> bool:
        return self.ended < self.answers

    @property
    def is_held(self) -> bool:
        """Blind answers come all at once, and are not counted before."""
        return not self.comparison.is_revealed


def tell(executions: Iterable[Execution]) -> None:
    """Give each run that stands for a comparison its `compared`. One query where there is none."""
    ids = {execution.id: execution for execution in executions}
    query = select(Comparison).where(Comparison.shown_id.in_(ids)).options(_RUNS)
    for comparison in db.session.scalars(query) if ids else ():
        ids[comparison.shown_id].compared = _row(comparison)  # type: ignore[attr-defined, index]


def _row(comparison: Comparison) -> Row:
    names = {run.place: run.requested for run in comparison.runs}
    in_order = [names[place] for place in sorted(names)]
    chosen = next((run.requested for run in comparison.runs if run.id == comparison.chosen_id), "")
    latest = {(run.place, run.turn): run.execution for run in comparison.runs}
    ended = sum(not execution.is_open for execution in latest.values())
    return Row(comparison, len(in_order), in_order if comparison.is_revealed else [], chosen, len(latest), ended)
