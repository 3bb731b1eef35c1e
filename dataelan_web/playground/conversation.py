"""A session's runs: what is shown, and what a new prompt continues."""

from __future__ import annotations

import uuid

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from ..extensions import db
from ..models import Execution, Prompt, PromptSession, State
from ..router.types import Message, assistant, user

PAGE = 20

CARD = (
    joinedload(Execution.body),
    joinedload(Execution.prompt).joinedload(Prompt.author),
    joinedload(Execution.model),
    joinedload(Execution.provider),
    selectinload(Execution.attempts),
    selectinload(Execution.actions),
)
"""What a run card needs, in three queries for any number of cards."""


def runs(session: PromptSession, before: uuid.UUID | None = None) -> tuple[list[Execution], uuid.UUID | None]:
    """The latest runs, oldest first, and the id to page on from, or None when there are no older ones."""
    query = select(Execution).where(Execution.session_id == session.id)
    if before:
        query = query.where(Execution.id < before)
    rows = list(db.session.scalars(query.order_by(Execution.id.desc()).limit(PAGE + 1).options(*CARD)))
    older = rows[PAGE - 1].id if len(rows) > PAGE else None
    return rows[:PAGE][::-1], older


def so_far(session: PromptSession, until: uuid.UUID | None = None) -> tuple[Message, ...]:
    """The conversation a new prompt continues: each prompt with its last whole answer, up to `until`."""
    query = (
        select(Execution)
        .where(Execution.session_id == session.id, Execution.state == State.COMPLETED)
        .options(joinedload(Execution.body), joinedload(Execution.prompt))
        .order_by(Execution.id)
    )
    if until:
        query = query.where(Execution.id < until)
    latest: dict[uuid.UUID | None, Execution] = {}
    for execution in db.session.scalars(query):
        latest.pop(execution.prompt_id, None)
        latest[execution.prompt_id] = execution
    messages: list[Message] = []
    for execution in latest.values():
        if execution.prompt and execution.body.text:
            messages += [user(execution.prompt.text), assistant(execution.body.text)]
    return tuple(messages)
