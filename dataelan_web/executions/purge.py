"""What was in the trash for long enough goes for ever: words, files and names. Runs stay as the narrow rows that they
are, with their attempts, because the books speak of them: nothing that was paid for is forgotten, only what was said.

One transaction a thing, in the order from small to large inside it, so that a purge that is cut off goes on later.
A restore takes the same row's lock (access.trashed): one of the two is first, and the other finds nothing to do.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import redis
from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from .. import quota
from ..extensions import db
from ..jobs import queue
from ..models import (
    IN_TRASH,
    UNDECIDED,
    Action,
    ActionCall,
    ActionRepair,
    Annotation,
    Asset,
    Attempt,
    Batch,
    BatchCheck,
    Budget,
    Collaborator,
    Comment,
    CopiedAnswer,
    DeclaredAction,
    Execution,
    ExecutionBody,
    Feedback,
    GatewayToken,
    Import,
    ImportedSession,
    LabelProtection,
    Leftover,
    Organization,
    Project,
    Prompt,
    PromptSession,
    RateLimit,
    RoutingRule,
    SavedView,
    SearchDocument,
    SpentChallenge,
    Template,
    TemplateCase,
    TemplateDraft,
    TemplateRun,
    User,
    Webhook,
    new_id,
    now,
    sent_forms,
)
from ..models.executions import OPEN
from ..storage import Unavailable, storage
from .departed import StillOwner, depart, give_up_unconfirmed
from .farewell import farewell

log = logging.getLogger(__name__)

EVERY = 3600
"""Seconds between two looks into the trash, by whichever worker comes first."""
DUE = "dataelan:trash"
PLAIN = (RateLimit, RoutingRule, Webhook, BatchCheck, SavedView, Annotation)
"""They go with all that hangs on them: deliveries, scores. The database sees to it."""
BATCH = 500
SETTLED = timedelta(days=1)
"""Bytes go when they were written so long ago: who puts the same file just now has a row for it by then."""


def purge_if_due() -> None:
    """Once an hour for all workers together. Commits."""
    try:
        if not queue.store().set(DUE, "1", nx=True, ex=EVERY):
            return
    except redis.RedisError:
        return  # it will be due when Valkey is back
    purge()


def purge_soon() -> None:
    """Let the next sweep look into the trash."""
    queue.store().delete(DUE)


def purge() -> int:
    """Everything whose time is over, one by one; then the bytes of files. Commits. Returns how many things went."""
    gone = 0
    give_up_unconfirmed()
    for query, act in (
        (_over(Organization).where(Organization.purged_at.is_(None)), _organization),
        (_over(User).where(User.purged_at.is_(None)), _person),
        (_over(Project).where(Project.purged_at.is_(None)), _project),
        (_over(PromptSession), _session),
        (_over(Template), _template),
        (_over(TemplateCase), _case),
        (_over(Batch), _batch),
        (_over(DeclaredAction), _action),
        (_over(Execution).where(select(ExecutionBody.id).where(ExecutionBody.id == Execution.id).exists()), _run),
        (_over(Asset), _file),
        (_over(Budget), _limit),
        *((_over(model), db.session.delete) for model in PLAIN),
    ):
        gone += _one_by_one(query, act)
    _remove_leftovers()
    _remove_remnants()
    return gone


def _over(model: Any) -> Select[Any]:
    return select(model).where(model.deleted_at < func.now() - IN_TRASH).order_by(model.deleted_at)


def _one_by_one(query: Select[Any], act: Callable[[Any], None]) -> int:
    """What is still running or owned, or cannot be purged, is left for the next time."""
    done, left = 0, set[uuid.UUID]()
    model = query.column_descriptions[0]["entity"]
    while row := db.session.scalars(
        query.where(model.id.not_in(left))
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).first():
        left.add(row.id)
        try:
            act(row)
            db.session.commit()
            done += 1
        except (StillRunning, StillOwner):
            db.session.rollback()
        except Exception:  # one that cannot be purged must not keep the others
            log.exception("%s %s could not be purged", model.__name__, row.id)
            db.session.rollback()
    db.session.rollback()
    return done


class StillRunning(Exception):
    """A worker is at it: its end is written first."""


def _organization(organization: Organization) -> None:
    farewell(organization, _project)


def _person(user: User) -> None:
    depart(user)


def _project(project: Project) -> None:
    for session in db.session.scalars(select(PromptSession).where(PromptSession.project_id == project.id)):
        _session(session)
    outside = select(Execution.id).where(Execution.project_id == project.id, Execution.session_id.is_(None))
    _runs(outside.where(select(ExecutionBody.id).where(ExecutionBody.id == Execution.id).exists()))
    forget_files(Asset.project_id == project.id)
    tokens = update(GatewayToken).where(GatewayToken.project_id == project.id, GatewayToken.revoked_at.is_(None))
    db.session.execute(tokens.values(revoked_at=func.now()))
    for model in (Collaborator, RoutingRule, Batch, Template, LabelProtection, DeclaredAction, Import):
        db.session.execute(delete(model).where(model.project_id == project.id))
    project.description, project.instructions, project.purged_at = "", "", now()


def _session(session: PromptSession) -> None:
    _runs(select(Execution.id).where(Execution.session_id == session.id))
    prompts = select(Prompt.id).where(Prompt.session_id == session.id)
    copies = select(CopiedAnswer.id).where(CopiedAnswer.session_id == session.id)
    forget_files(or_(Asset.prompt_id.in_(prompts), Asset.copied_answer_id.in_(copies)))
    db.session.execute(delete(ImportedSession).where(ImportedSession.session_id == session.id))  # which has its title
    db.session.execute(delete(PromptSession).where(PromptSession.id == session.id))


def _template(template: Template) -> None:
    """With its versions, cases and proposals. Its runs stay, as what was paid."""
    db.session.execute(delete(Template).where(Template.id == template.id))


def _case(case: TemplateCase) -> None:
    """Its answers stay among the prompt's runs."""
    db.session.execute(delete(TemplateCase).where(TemplateCase.id == case.id))


def _batch(batch: Batch) -> None:
    """With its rows and scores, and all that was said in its runs."""
    _runs(select(Execution.id).where(Execution.batch_id == batch.id))
    db.session.execute(delete(Batch).where(Batch.id == batch.id))


def _action(action: DeclaredAction) -> None:
    """With its versions, secrets and log. What was called of it stays with the runs."""
    db.session.execute(delete(DeclaredAction).where(DeclaredAction.id == action.id))


def _limit(budget: Budget) -> None:
    """With its windows and what was asked of it. The ledger stays."""
    quota.erase(db.session, Budget.id == budget.id)


def _run(run: Execution) -> None:
    repairs = select(ActionRepair.execution_id).join(ActionCall).where(ActionCall.execution_id == run.id)
    _runs(select(Execution.id).where(or_(Execution.id == run.id, Execution.id.in_(repairs))))


def _file(file: Asset) -> None:
    forget_files(Asset.id == file.id)


def _runs(found: Select[Any]) -> None:
    """Everything that was said in them. The rows stay, in the trash for ever."""
    for ids in _batches(found):
        if db.session.scalar(select(Execution.id).where(Execution.id.in_(ids), Execution.state.in_(OPEN)).limit(1)):
            raise StillRunning
        prompts = db.session.scalars(select(Execution.prompt_id).where(Execution.id.in_(ids)).distinct()).all()
        forget_files(Asset.execution_id.in_(ids))
        forget_beside(ids)
        for model, column in (
            (Comment, Comment.execution_id),
            (Feedback, Feedback.execution_id),
            (ExecutionBody, ExecutionBody.id),
        ):
            db.session.execute(delete(model).where(column.in_(ids)))
        db.session.execute(
            update(Execution)
            .where(Execution.id.in_(ids))
            .values(
                deleted_at=func.coalesce(Execution.deleted_at, func.now() - IN_TRASH),
                prompt_id=None,
                idempotency_key=None,
                labels=None,
            )
        )
        _prompts(prompts)


def _prompts(ids: Sequence[uuid.UUID | None]) -> None:
    """Those that no run, and no copied answer, speaks of any more."""
    run = select(Execution.id).where(Execution.prompt_id == Prompt.id)
    copy = select(CopiedAnswer.id).where(CopiedAnswer.prompt_id == Prompt.id)
    lonely = select(Prompt.id).where(Prompt.id.in_([id for id in ids if id]), ~run.exists(), ~copy.exists())
    forget_files(Asset.prompt_id.in_(lonely))
    db.session.execute(delete(Prompt).where(Prompt.id.in_(lonely)))


def forget_files(which: Any) -> None:
    """Rows go at once; their bytes when it is sure that nothing else names them. Does not commit."""
    gone = delete(Asset).where(which).returning(Asset.storage_key)
    for key in set(db.session.scalars(gone.execution_options(synchronize_session=False))):
        db.session.execute(
            insert(Leftover).values(id=new_id(), created_at=now(), storage_key=key).on_conflict_do_nothing()
        )


def forget_beside(ids: Sequence[uuid.UUID]) -> None:
    """What was said in runs, wherever it is written beside their bodies, prompts and files. Does not commit."""
    for statement in (
        delete(SearchDocument).where(SearchDocument.id.in_(ids)),
        delete(Action).where(Action.execution_id.in_(ids)),
        delete(ActionCall).where(ActionCall.execution_id.in_(ids)),
        update(TemplateRun).where(TemplateRun.id.in_(ids)).values(values={}, said=""),
        update(Attempt).where(Attempt.execution_id.in_(ids)).values(error="", job=None),
    ):
        db.session.execute(statement.execution_options(synchronize_session=False))


def forget_runs(ids: Sequence[uuid.UUID]) -> None:
    """Of runs that ended: all but the narrow rows, for good. Does not commit."""
    _runs(select(Execution.id).where(Execution.id.in_(ids)))


def _batches(found: Select[Any]) -> Iterator[list[uuid.UUID]]:
    ids = list(db.session.scalars(found))
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


def _remove_leftovers() -> None:
    for leftover in db.session.scalars(select(Leftover).order_by(Leftover.id).limit(1000)).all():
        named = select(Asset.id).where(Asset.storage_key == leftover.storage_key).limit(1)
        try:
            written_at = storage().written_at(leftover.storage_key)
            if db.session.scalar(named) is None and written_at is not None:
                if written_at > now() - SETTLED:
                    continue
                storage().delete(leftover.storage_key)
        except Unavailable:
            continue
        db.session.delete(leftover)
    db.session.commit()


def _remove_remnants() -> None:
    """Comments and drafts that nobody took back, conversations of files that nobody decided to bring in, challenges
    that passkeys answered, which are too old to be taken again, and notes of forms that nobody sends a second time."""
    db.session.execute(delete(Comment).where(Comment.deleted_at < func.now() - IN_TRASH))
    db.session.execute(delete(TemplateDraft).where(TemplateDraft.dropped_at < func.now() - IN_TRASH))
    undecided = ImportedSession.content.is_not(None), ImportedSession.created_at < func.now() - UNDECIDED
    db.session.execute(delete(ImportedSession).where(*undecided))
    db.session.execute(delete(SpentChallenge).where(SpentChallenge.created_at < func.now() - SETTLED))
    db.session.execute(sent_forms.forget())
    db.session.commit()
