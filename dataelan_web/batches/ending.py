"""When a batch is over, and when nobody is left whose it could be."""

from __future__ import annotations

from sqlalchemy import func, select, union_all

from ..extensions import db
from ..models import Batch, BatchCell, BatchState, CellState, Collaborator, Membership, ProjectRole, Role, User
from ..models.batches import lock, turn
from . import scoring
from .settling import tell

NOBODY = "Whoever started it may no longer run prompts in this project. Somebody else can go on with it."


def end_if_over(batch: Batch) -> bool:
    """Nothing waits, nothing runs, all is scored. Commits."""
    if batch.state is not BatchState.RUNNING or _is_under_way(batch):
        return False
    lock(db.session, batch)
    if _is_under_way(batch):
        return False
    if turn(db.session, batch.id, (BatchState.RUNNING,), BatchState.DONE, finished_at=func.clock_timestamp()):
        tell(batch, "batch.ended", f"{batch.name} is done", _sums(batch))
    db.session.commit()
    return True


def _is_under_way(batch: Batch) -> bool:
    left = BatchCell.batch_id == batch.id, BatchCell.state.in_((CellState.WAITING, CellState.RUNNING))
    if db.session.scalar(select(BatchCell.id).where(*left).limit(1)):
        return True
    return scoring.judges_are_at_it(batch) or not scoring.is_all_scored(batch)


def _sums(batch: Batch) -> str:
    mine = select(BatchCell.state, func.count()).where(BatchCell.batch_id == batch.id).group_by(BatchCell.state)
    counts = dict(db.session.execute(mine).all())
    answered, failed = counts.get(CellState.DONE, 0), counts.get(CellState.FAILED, 0) + counts.get(CellState.UNFIT, 0)
    return f"{answered:,} answers{f', {failed:,} without one' if failed else ''}."


def may_still_run(batch: Batch) -> bool:
    """Is whoever started it still here, neither switched off nor gone, and may they run prompts?"""
    is_on = (
        select(User.id)
        .where(User.id == batch.started_by, User.disabled_at.is_(None), User.deleted_at.is_(None))
        .exists()
    )
    member = select(Membership.id).where(
        is_on,
        Membership.organization_id == batch.project.organization_id,
        Membership.user_id == batch.started_by,
        Membership.role.in_((Role.OWNER, Role.ADMIN, Role.MEMBER)),
    )
    guest = select(Collaborator.id).where(
        is_on,
        Collaborator.project_id == batch.project_id,
        Collaborator.user_id == batch.started_by,
        Collaborator.role == ProjectRole.EDITOR,
    )
    return db.session.scalar(union_all(member, guest).limit(1)) is not None
