"""What a public link shows: the cards and files of the newest branch that were there when it was made, and are
still."""

from __future__ import annotations

import uuid
from datetime import timedelta
from itertools import islice
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import joinedload

from ..executions import branches
from ..extensions import db
from ..models import Asset, CopiedAnswer, Execution, Organization, Project, PromptSession, PublicLink
from ..playground.conversation import Card
from . import timeline

PAGE = 50


def find(secret: str) -> PublicLink | None:
    """None, whatever the reason: unknown, revoked, over, forbidden, suspended, or in the trash with what it showed."""
    query = (
        select(PublicLink)
        .join(PromptSession, PublicLink.session_id == PromptSession.id)
        .join(Project, PromptSession.project_id == Project.id)
        .join(Organization, Project.organization_id == Organization.id)
        .where(
            PublicLink.secret_hash == PublicLink.digest(secret),
            PromptSession.deleted_at.is_(None),
            Project.deleted_at.is_(None),
            Organization.allows_public_links,
            Organization.deleted_at.is_(None),
            Organization.suspended_at.is_(None),
        )
        .options(joinedload(PublicLink.session))
    )
    link = db.session.scalars(query).first()
    if link is None or not link.is_open:
        return None
    return link if link.execution_id is None or _has_its_run(link) else None


def _has_its_run(link: PublicLink) -> bool:
    return (
        db.session.scalar(select(Execution.id).where(Execution.session_id == link.session_id, *_runs(link))) is not None
    )


def _runs(link: PublicLink) -> tuple[Any, ...]:
    """What holds of the runs that it shows."""
    then = Execution.finished_at <= link.created_at
    shown: tuple[Any, ...] = (Execution.deleted_at.is_(None), then)
    if link.execution_id:
        return *shown, Execution.id == link.execution_id
    return *shown, *timeline.on_branch(link.session, branches.newest(link.session, then))


def cards(link: PublicLink, after: uuid.UUID | None) -> tuple[list[Card], uuid.UUID | None]:
    """A page of cards, and the last one's id if there are more."""
    found = timeline.cards(link.session, *_runs(link), after=after)
    if link.execution_id:
        found = (card for card in found if card.id == link.execution_id)
    taken = list(islice(found, PAGE + 1))
    return taken[:PAGE], taken[PAGE - 1].id if len(taken) > PAGE else None


def file(link: PublicLink, id: uuid.UUID) -> Asset | None:
    """A file of what it shows."""
    runs = select(Execution).where(Execution.session_id == link.session_id, *_runs(link))
    held: list[Any] = [
        Asset.execution_id.in_(runs.with_only_columns(Execution.id)),
        Asset.prompt_id.in_(runs.with_only_columns(Execution.prompt_id)),
    ]
    if link.execution_id is None:
        copies = select(CopiedAnswer).where(CopiedAnswer.session_id == link.session_id)
        held.append(Asset.copied_answer_id.in_(copies.with_only_columns(CopiedAnswer.id)))
        held.append(Asset.prompt_id.in_(copies.with_only_columns(CopiedAnswer.prompt_id)))
    return db.session.scalars(select(Asset).where(Asset.id == id, Asset.deleted_at.is_(None), or_(*held))).first()


def note_opening(link: PublicLink) -> None:
    """For those who made it to see; to the minute. Commits."""
    long_ago = or_(PublicLink.opened_at.is_(None), PublicLink.opened_at < func.now() - timedelta(minutes=1))
    db.session.execute(update(PublicLink).where(PublicLink.id == link.id, long_ago).values(opened_at=func.now()))
    db.session.commit()
