"""What people think of answers, and the checks that score them without people."""

from __future__ import annotations

from flask import g
from flask_login import current_user
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from .. import audit
from ..extensions import db
from ..jobs import queue
from ..models import Batch, BatchCell, BatchCheck, BatchScore, CellState, CheckKind, new_id, now
from ..models.batches import ENOUGH as ENOUGH  # which templates ask for here
from ..models.batches import cells_of, give_key_back, score_again, weigh
from ..prompts.refusals import Refused
from . import judging, rules

BEST = judging.BEST
MOST_CHECKS = 10
NAMES = {
    CheckKind.CONTAINS: "Contains",
    CheckKind.REGEX: "Matches a pattern",
    CheckKind.SCHEMA: "Fits a JSON schema",
    CheckKind.EQUAL: "Equals",
    CheckKind.JUDGE: "A model judges",
}


def add_check(batch: Batch, kind: CheckKind, text: str, model: str, *, loosely: bool) -> BatchCheck:
    """Answers that are there are scored as well, in a moment. Raises Refused. Commits."""
    if len(batch.checks) >= MOST_CHECKS:
        raise Refused(f"At most {MOST_CHECKS} checks.")
    try:
        if kind is CheckKind.JUDGE:
            settings = judging.settings_of(model, text)
        else:
            settings = rules.settings_of(kind, text, loosely=loosely)
    except rules.Wrong as wrong:
        raise Refused(str(wrong)) from None
    check = BatchCheck(id=new_id(), batch_id=batch.id, kind=kind, settings=settings, created_by=current_user.id)
    db.session.add(check)
    score_again(db.session, batch.id, current_user.id)
    audit.record("batch.check_added", batch, g.organization.id, kind=kind.value)
    db.session.commit()
    queue.stir()
    return check


def remove_check(batch: Batch, check: BatchCheck) -> None:
    """Into the trash: its scores count no more; what judges cost stays. Commits."""
    check.discard(current_user.id)
    db.session.flush()
    weigh(db.session, cells_of(db.session, check))
    audit.record("batch.check_removed", batch, g.organization.id, kind=check.kind.value)
    db.session.commit()


def give(batch: Batch, cell: BatchCell, score: int) -> None:
    """1 to 5; 0 takes one's score back. Raises Refused. Commits."""
    if cell.state is not CellState.DONE:
        raise Refused("There is no answer to score.")
    if not 0 <= score <= BEST:
        raise Refused(f"A score is from 1 to {BEST}.")
    mine = BatchScore.cell_id == cell.id, BatchScore.user_id == current_user.id
    if score == 0:
        db.session.execute(delete(BatchScore).where(*mine))
    else:
        value = (score - 1) / (BEST - 1)
        row = {"id": new_id(), "created_at": now(), "batch_id": batch.id, "cell_id": cell.id}
        query = insert(BatchScore).values(**row, user_id=current_user.id, value=value, reason="", problem="")
        query = query.on_conflict_do_update(index_elements=["cell_id", "user_id"], set_={"value": value})
        db.session.execute(query)
    weigh(db.session, [cell.id])
    db.session.commit()


def ask_judges_again(batch: Batch) -> int:
    """Where a judge came to no score. How many those were. Commits."""
    gone = delete(BatchScore).where(BatchScore.batch_id == batch.id, BatchScore.problem != "")
    runs = db.session.scalars(gone.returning(BatchScore.execution_id)).all()
    if runs:
        give_key_back(db.session, runs)
        score_again(db.session, batch.id, current_user.id)
    db.session.commit()
    queue.stir()
    return len(runs)


def words(check: BatchCheck) -> str:
    """What it looks for, in short."""
    if check.kind is CheckKind.JUDGE:
        return str(check.settings["model"])
    text = " ".join(check.settings["text"].split())
    return text[:80] + ("…" if len(text) > 80 else "")
