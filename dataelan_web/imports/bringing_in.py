"""Conversations from elsewhere become sessions: a few at a time, each whole in a commit of its own, so that a browser
that goes away leaves nothing half done and can go on later.

Their runs were asked and paid elsewhere: they cost nothing here, have no attempts, and say `import` as their origin.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from ..executions.prompts import to_json
from ..extensions import db
from ..models import (
    Execution,
    ExecutionBody,
    Import,
    ImportedSession,
    ModelType,
    Origin,
    Payer,
    Prompt,
    PromptSession,
    State,
    new_id,
    now,
)
from ..router.types import Message, assistant, user
from ..router.types import Prompt as RouterPrompt
from .conversations import Conversation, Said, Turn
from .formats import FORMATS

SECONDS = 1.5
"""How long one request works."""
LONGEST_BEFORE = 60_000
"""Characters of the conversation before it that a run keeps with its request, for running it again."""


def go_on(brought: Import) -> bool:
    """Bring in the next ones. True: all are there. Commits."""
    until = time.monotonic() + SECONDS
    while (line := _next(brought)) is not None:
        _bring_in(brought, line)
        if time.monotonic() > until:
            return _next(brought) is None
    return True


def _next(brought: Import) -> ImportedSession | None:
    """Locked, so that two windows do not bring in one conversation twice."""
    query = select(ImportedSession).where(ImportedSession.import_id == brought.id, ImportedSession.content.is_not(None))
    return db.session.scalars(query.order_by(ImportedSession.position).limit(1).with_for_update()).first()


def _bring_in(brought: Import, line: ImportedSession) -> None:
    one = Conversation.from_json(line.content or {})
    began = line.began_at or now()
    session = PromptSession(
        id=new_id(),
        project_id=brought.project_id,
        title=line.title,
        model_type=ModelType(one.type),
        created_by=brought.user_id,
        created_at=began,
        forked_from_id=_main(brought, one),
        settings={"model": "auto", "imported": FORMATS[brought.source].name},
    )
    db.session.add(session)
    db.session.flush()
    before, at = list[Message](), began
    last: uuid.UUID | None = None
    for turn in one.turns:
        at, last = _add(turn, session, brought, before, at, last)
    session.updated_at = at
    line.session_id, line.content = session.id, None
    db.session.commit()


def _main(brought: Import, one: Conversation) -> uuid.UUID | None:
    """The session that this one is a branch of, if that came along."""
    if one.branch_of is None:
        return None
    main = select(ImportedSession.session_id).where(ImportedSession.position == one.branch_of)
    return db.session.scalar(main.where(ImportedSession.import_id == brought.id))


def _add(
    turn: Turn,
    session: PromptSession,
    brought: Import,
    before: list[Message],
    at: datetime,
    continues_id: uuid.UUID | None,
) -> tuple[datetime, uuid.UUID]:
    """The prompt and a run for each of its answers. Returns when the last of them was there, and its id."""
    asked_at = _time(turn.asked, at)
    prompt = Prompt(id=new_id(), session_id=session.id, author_id=brought.user_id, text=turn.asked.text)
    prompt.created_at = asked_at
    db.session.add(prompt)
    asked = user(turn.asked.text)
    request = to_json(RouterPrompt(messages=(*_end_of(before), asked)))
    for answer in turn.answers or [Said("")]:
        at = max(_time(answer, asked_at), asked_at)
        db.session.add(
            Execution(
                id=(id := new_id()),
                continues_id=continues_id,
                organization_id=brought.project.organization_id,
                project_id=brought.project_id,
                session_id=session.id,
                prompt_id=prompt.id,
                user_id=brought.user_id,
                origin=Origin.IMPORT,
                payer=Payer.NOBODY,
                cost=0,
                model_type=session.model_type,
                requested=answer.model[:200] or "auto",
                state=State.COMPLETED if answer.text else State.CANCELLED,
                created_at=asked_at,
                finished_at=at,
                body=ExecutionBody(request=request, text=answer.text),
            )
        )
    before += [asked, *([assistant(turn.answers[-1].text)] if turn.answers else [])]
    return at, id


def _end_of(before: Sequence[Message]) -> list[Message]:
    """As much of the conversation as a request keeps, from its end: all of it, with each run, would be too much."""
    kept, left = list[Message](), LONGEST_BEFORE
    for message in reversed(before):
        left -= len(message.text)
        if left < 0:
            break
        kept.insert(0, message)
    return kept[1:] if kept and kept[0].role == "assistant" else kept


def _time(said: Said, otherwise: datetime) -> datetime:
    return datetime.fromisoformat(said.at) if said.at else otherwise
