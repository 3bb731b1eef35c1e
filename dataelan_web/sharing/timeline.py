"""A session from its first card to its last, a few at a time: for what is written out whole."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload, undefer

from ..executions import branches
from ..executions.conversation import continues
from ..extensions import db
from ..models import CopiedAnswer, Execution, Prompt, PromptSession
from ..playground.conversation import COPY, Card

AT_ONCE = 50
RUN = (
    joinedload(Execution.body),
    undefer(Execution.blind_in),
    joinedload(Execution.prompt).joinedload(Prompt.author),
    joinedload(Execution.prompt).selectinload(Prompt.assets),
    joinedload(Execution.model),
    joinedload(Execution.provider),
    selectinload(Execution.assets),
)
"""What is written out of a run: all but its attempts and the actions found in it."""


def on_branch(session: PromptSession, end: uuid.UUID | None) -> tuple[Any, ...]:
    """Of an Execution: is it on the branch that ends with this run? Where runs stand alone there is but one."""
    return (Execution.id.in_(branches.path(end)),) if continues(session) else ()


def cards(session: PromptSession, *runs_that: Any, after: uuid.UUID | None = None) -> Iterator[Card]:
    """What a fork began with, then the runs. `runs_that`: further conditions on those. `after`: only later cards."""
    copies = select(CopiedAnswer).where(CopiedAnswer.session_id == session.id).options(*COPY)
    mine = Execution.session_id == session.id, Execution.repairs_id.is_(None)
    runs = select(Execution).where(*mine, Execution.deleted_at.is_(None), *runs_that)
    if after:
        copies, runs = copies.where(CopiedAnswer.id > after), runs.where(Execution.id > after)
    yield from _streamed(copies.order_by(CopiedAnswer.id))
    yield from _streamed(runs.options(*RUN).order_by(Execution.id))


def _streamed(query: Any) -> Iterator[Any]:
    return iter(db.session.scalars(query.execution_options(yield_per=AT_ONCE)))
