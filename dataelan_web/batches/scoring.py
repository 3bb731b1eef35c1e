"""Answers that are there and not scored yet: by rules at once, by judging models as runs of their own."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import contains_eager, joinedload

from ..executions.retention import GONE
from ..executions.submit import Request, record, wake
from ..extensions import db
from ..models import (
    Batch,
    BatchCell,
    BatchCheck,
    BatchScore,
    CellState,
    CheckKind,
    Execution,
    ExecutionBody,
    ModelType,
    Origin,
    new_id,
    now,
)
from ..models.batches import weigh
from ..router.types import Prompt
from . import judging, rules
from .asked import Asker, answer_of

AT_ONCE = 200
"""Answers that one round scores by rule."""


def by_rules(batch: Batch) -> None:
    """Commits."""
    asker, touched = Asker(batch), set()
    for check in _checks(batch, judges=False):
        for cell in db.session.scalars(_unscored(check).limit(AT_ONCE)).all():
            verdict = rules.judge(check.kind, check.settings, _answer(cell), asker.named(cell.row))
            _keep(cell, check, value=float(verdict.passed), reason=verdict.reason)
            touched.add(cell.id)
    weigh(db.session, sorted(touched))
    db.session.commit()


def by_judges(batch: Batch, room: int) -> int:
    """Ask judges about so many answers at most. How many were asked. Commits."""
    asker, asked = Asker(batch), 0
    for check in _checks(batch, judges=True):
        for cell in db.session.scalars(_unscored(check).limit(max(room - asked, 0))).all():
            named = asker.named(cell.row)
            said = [(message.role, message.text) for message in asker.prompt(cell.row)[0].messages]
            _ask(batch, cell, check, judging.prompt(check, said, _answer(cell), named[rules.EXPECTED]))
            asked += 1
    return asked


def is_all_scored(batch: Batch) -> bool:
    checks = _checks(batch, judges=False) + _checks(batch, judges=True)
    return not any(db.session.scalar(_unscored(check).with_only_columns(BatchCell.id).limit(1)) for check in checks)


def judges_are_at_it(batch: Batch) -> bool:
    open_ = BatchScore.batch_id == batch.id, BatchScore.value.is_(None), BatchScore.problem == ""
    return db.session.scalar(select(BatchScore.id).where(*open_).limit(1)) is not None


def _checks(batch: Batch, *, judges: bool) -> list[BatchCheck]:
    query = select(BatchCheck).filter_by(batch_id=batch.id, deleted_at=None).order_by(BatchCheck.id)
    return [check for check in db.session.scalars(query) if (check.kind is CheckKind.JUDGE) is judges]


def _unscored(check: BatchCheck) -> Select[BatchCell]:
    """Answers that are there, neither deleted nor kept no longer, and that this check says nothing of."""
    scored = select(BatchScore.id).where(BatchScore.cell_id == BatchCell.id, BatchScore.check_id == check.id)
    return (
        select(BatchCell)
        .join(BatchCell.execution)
        .join(Execution.body)
        .where(BatchCell.batch_id == check.batch_id, BatchCell.state == CellState.DONE, ~scored.exists())
        .where(Execution.deleted_at.is_(None), ExecutionBody.notice != GONE)
        .order_by(BatchCell.position, BatchCell.model)
        .options(joinedload(BatchCell.row), contains_eager(BatchCell.execution).contains_eager(Execution.body))
    )


def _answer(cell: BatchCell) -> str:
    body = cell.execution.body if cell.execution else None
    return answer_of(body.text, body.tool_calls) if body else ""


def _keep(cell: BatchCell, check: BatchCheck, **values: Any) -> None:
    row = {"id": new_id(), "created_at": now(), "batch_id": cell.batch_id, "cell_id": cell.id, "check_id": check.id}
    query = insert(BatchScore).values(**row, **{"reason": "", "problem": "", **values})
    db.session.execute(query.on_conflict_do_nothing(index_elements=["cell_id", "check_id"]))


def _ask(batch: Batch, cell: BatchCell, check: BatchCheck, prompt: Prompt) -> None:
    """A run like any other, under the same limits. Should we die in between, it is found by its key."""
    execution = record(
        Request(
            project=batch.project,
            prompt=prompt,
            origin=Origin.JUDGE,
            requested=check.settings["model"],
            user_id=batch.started_by,
            model_type=ModelType.TEXT,
            idempotency_key=f"judge:{check.id}:{cell.execution_id}",
            batch_id=batch.id,
        )
    )
    _keep(cell, check, execution_id=execution.id)
    db.session.commit()
    wake(execution)
