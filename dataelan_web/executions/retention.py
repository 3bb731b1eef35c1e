"""What an organization keeps no longer goes by itself, a few hundred runs at a time: first what was said in them, later
the runs themselves. The narrow rows stay, as they do when the trash is emptied: they are the books, and with the ledger
and the sums they say what was paid for as long as there is an organization.

How far it has come is written down beside the setting, in the transaction that deletes, so that each look begins where
the last one ended, and several workers do not do the same.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update

from ..extensions import db
from ..models import (
    Asset,
    AuditEvent,
    CopiedAnswer,
    Execution,
    ExecutionBody,
    Organization,
    Origin,
    Prompt,
    now,
)
from ..models.executions import OPEN
from ..router.types import Prompt as Asked
from ..router.types import user
from .prompts import to_json
from .purge import forget_beside, forget_files, forget_runs

log = logging.getLogger(__name__)

BATCH = 500
GONE = "What was said here was deleted: this organization keeps it for a time only."
_NOTHING = to_json(Asked(messages=(user("(deleted)"),)))


def keep_to_retention() -> int:
    """Until nothing is left that is too old. Commits, batch by batch. Returns how many runs were looked at."""
    done, stuck = 0, set[uuid.UUID]()
    while id := _next(stuck):
        try:
            done += _a_batch(db.session.get_one(Organization, id))
            db.session.commit()
        except Exception:  # one organization must not keep the others
            log.exception("what organization %s keeps no longer could not be deleted", id)
            db.session.rollback()
            stuck.add(id)
    db.session.rollback()
    return done


def is_gone(said: ExecutionBody) -> bool:
    """Was it kept no longer? Then not even what was asked is known."""
    return said.notice == GONE


def too_old(organization: Organization, words_days: int | None, runs_days: int | None) -> tuple[int, int]:
    """(runs whose words would go, runs that would go), of those that are still there, with these settings."""
    query = select(func.count()).select_from(Execution)
    lost = (_between(organization, mark, days) for mark, days in (
        (organization.words_gone_until, words_days), (organization.runs_gone_until, runs_days)))  # fmt: skip
    words, runs = (0 if where is None else db.session.scalar(query.where(*where)) or 0 for where in lost)
    return words, runs


def too_old_lines(organization: Organization, days: int | None) -> int:
    """Lines of the audit log that would go, if they were kept for so long."""
    if days is None:
        return 0
    old = AuditEvent.organization_id == organization.id, AuditEvent.created_at < now() - timedelta(days=days)
    return db.session.scalar(select(func.count()).select_from(AuditEvent).where(*old)) or 0


def forget_audit() -> int:
    """Lines that their organizations keep no longer. The database looks once more whether each is old enough. Commits,
    batch by batch. Returns how many went."""
    gone, days = 0, func.make_interval(0, 0, 0, Organization.audit_kept_days)
    old = (
        select(AuditEvent.id)
        .join(Organization, Organization.id == AuditEvent.organization_id)
        .where(AuditEvent.created_at < func.now() - days)
        .limit(BATCH * 10)
    )
    while True:
        found = db.session.scalars(delete(AuditEvent).where(AuditEvent.id.in_(old)).returning(AuditEvent.id)).all()
        db.session.commit()
        gone += len(found)
        if len(found) < BATCH * 10:
            return gone


def _next(stuck: set[uuid.UUID]) -> uuid.UUID | None:
    """An organization that has something too old, locked for this transaction."""
    begins = func.coalesce(Organization.created_at, func.now()) - timedelta(days=36500)
    due = or_(
        *(
            func.coalesce(mark, begins) < func.now() - func.make_interval(0, 0, 0, days) - timedelta(minutes=5)
            for mark, days in (
                (Organization.words_gone_until, Organization.words_kept_days),
                (Organization.runs_gone_until, Organization.runs_kept_days),
            )
        )
    )
    query = select(Organization.id).where(due, Organization.id.not_in(stuck)).order_by(Organization.id).limit(1)
    return db.session.scalar(query.with_for_update(skip_locked=True, key_share=True))


def _a_batch(organization: Organization) -> int:
    """The oldest of each kind."""
    words, upto = _oldest(organization, organization.words_gone_until, organization.words_kept_days)
    if upto:
        _forget_words(words, upto)
    organization.words_gone_until = upto or organization.words_gone_until
    runs, upto = _oldest(organization, organization.runs_gone_until, organization.runs_kept_days)
    if runs:
        forget_runs(runs)
    organization.runs_gone_until = upto or organization.runs_gone_until
    return len(words) + len(runs)


def _between(organization: Organization, mark: datetime | None, days: int | None) -> list[ColumnElement[bool]] | None:
    if days is None:
        return None
    which = [
        Execution.organization_id == organization.id,
        Execution.created_at < now() - timedelta(days=days),
        Execution.state.not_in(OPEN),
        Execution.origin != Origin.IMPORT,  # its dates are those of elsewhere; it stays until somebody deletes it
    ]
    return [*which, Execution.created_at >= mark] if mark else which


def _oldest(
    organization: Organization, mark: datetime | None, days: int | None
) -> tuple[Sequence[uuid.UUID], datetime | None]:
    """(runs that are too old, up to when these are all). What was asked in one moment goes together."""
    where = _between(organization, mark, days)
    if where is None or days is None:
        return (), None
    last = db.session.scalar(
        select(Execution.created_at).where(*where).order_by(Execution.created_at).offset(BATCH - 1).limit(1)
    )
    upto = last + timedelta(microseconds=1) if last else now() - timedelta(days=days)
    return db.session.scalars(select(Execution.id).where(*where, Execution.created_at < upto)).all(), upto


def _forget_words(ids: Sequence[uuid.UUID], upto: datetime) -> None:
    """A prompt that was asked again since, and its files, stay for that younger run: they go with the last one."""
    theirs = select(Execution.prompt_id).where(Execution.id.in_(ids))
    again = select(Execution.id).where(Execution.prompt_id == Prompt.id, Execution.created_at >= upto).exists()
    prompts = select(Prompt.id).where(Prompt.id.in_(theirs), ~again)
    copies = select(CopiedAnswer.id).where(CopiedAnswer.execution_id.in_(ids))
    copied = select(CopiedAnswer.prompt_id).where(CopiedAnswer.execution_id.in_(ids))
    forget_files(
        or_(
            Asset.execution_id.in_(ids),
            Asset.prompt_id.in_(prompts),
            Asset.prompt_id.in_(copied),
            Asset.copied_answer_id.in_(copies),
        )
    )
    nothing: dict[str, Any] = dict.fromkeys(("text", "reasoning", "error"), "")
    nothing |= {"tool_calls": [], "segments": [], "receipt": {}, "vectors": None}
    forget_beside(ids)
    for statement in (
        update(ExecutionBody).where(ExecutionBody.id.in_(ids)).values(request=_NOTHING, notice=GONE, **nothing),
        update(Prompt).where(or_(Prompt.id.in_(prompts), Prompt.id.in_(copied))).values(text="(deleted)"),
        update(CopiedAnswer)
        .where(CopiedAnswer.execution_id.in_(ids))
        .values(asked=_NOTHING["messages"][0], text=GONE, tool_calls=[]),
    ):
        db.session.execute(statement.execution_options(synchronize_session=False))
