"""Deleting an organization: at once for everybody who works in it, and for 30 days not for ever.

Meanwhile nobody sees it but its owners, who may take it back or its data out. Its gateway tokens are refused, what runs
is stopped, batches pause. Then executions/purge.py removes what was said; the books stay.
"""

from __future__ import annotations

from sqlalchemy import func, select, update

from .. import audit
from ..executions.keeper import cancel
from ..extensions import db
from ..members import managing
from ..models import IN_TRASH, Batch, BatchState, Execution, Membership, Organization, Project, User, new_id, now
from ..models.executions import OPEN
from ..notify import tell

PAUSED = "The organization was deleted, and taken back."


def delete(organization: Organization, by: User) -> None:
    """Commits."""
    organization = managing.lock(organization)
    if organization.deleted_at is None:
        organization.discard(by.id)
        audit.record("organization.deleted", organization, organization.id)
        _pause_batches(organization)
        _tell(organization, by)
    db.session.commit()
    running = select(Execution.id).where(Execution.organization_id == organization.id, Execution.state.in_(OPEN))
    for id in db.session.scalars(running).all():
        cancel(id)


def restore(organization: Organization) -> None:
    """As it was, but for what was running. Commits."""
    organization = managing.lock(organization)
    if organization.deleted_at is not None and organization.purged_at is None:
        organization.restore()
        audit.record("organization.restored", organization, organization.id)
    db.session.commit()


def contents(organization: Organization) -> dict[str, int]:
    """What would go: for whoever is asked whether they are sure."""
    projects = Project.organization_id == organization.id, Project.deleted_at.is_(None)
    runs = Execution.organization_id == organization.id, Execution.deleted_at.is_(None)
    return {
        "projects": db.session.scalar(select(func.count()).where(*projects)) or 0,
        "runs": db.session.scalar(select(func.count()).where(*runs)) or 0,
    }


def _tell(organization: Organization, by: User) -> None:
    others = select(Membership.user_id).where(
        Membership.organization_id == organization.id, Membership.user_id != by.id
    )
    kind, until = "organization.deleted", now() + IN_TRASH
    said = f"{by.name} deleted it. Until {until:%-d %B} its owners can take it back, by the link to it."
    key, title, path = f"{kind}:{new_id()}", f"{organization.name} was deleted", f"/o/{organization.slug}/"
    tell(db.session, organization.id, db.session.scalars(others), key, kind, title, said, path)


def _pause_batches(organization: Organization) -> None:
    projects = select(Project.id).where(Project.organization_id == organization.id)
    running = Batch.project_id.in_(projects), Batch.state == BatchState.RUNNING
    query = update(Batch).where(*running).values(state=BatchState.PAUSED, why=PAUSED)
    db.session.execute(query.execution_options(synchronize_session=False))
