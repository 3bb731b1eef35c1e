"""Conversations from elsewhere become sessions: a few at a time, each whole in a commit of its own, so that a browser
that goes away leaves nothing half done and can go on later.

Their runs were asked and paid elsewhere: they cost nothing here, have no attempts, and say `import` as their origin.
"""

from __future__ import annotations

import time
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
LONGEST_BEFORE, MOST_BEFORE = 60_000, 400
"""Characters and messages of the conversation before it that a run keeps with its request, for running it again."""


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
        settings={"model": "auto", "imported": FORMATS[brought.source].name},
    )
    db.session.add(session)
    db.session.flush()
    session.updated_at = max([began, *(run.finished_at or began for run in _runs(one, session, brought))])
    line.session_id, line.content = session.id, None
    db.session.commit()


def _runs(one: Conversation, session: PromptSession, brought: Import) -> list[Execution]:
    """A run for each answer, on the branch where it stood. Their ids are in the order of the turns, so that the session
    opens at the last of them."""
    prompts: dict[int, Prompt] = {}
    runs = list[Execution]()
    for turn in one.turns:
        before = None if turn.after is None else runs[turn.after]
        if turn.prompt not in prompts:
            prompts[turn.prompt] = _prompt(one.prompts[turn.prompt], before, session, brought)
        runs.append(_run(one, turn, prompts[turn.prompt], before, session, brought))
    return runs


def _prompt(asked: Said, before: Execution | None, session: PromptSession, brought: Import) -> Prompt:
    prompt = Prompt(id=new_id(), session_id=session.id, author_id=brought.user_id, text=asked.text)
    prompt.created_at = _time(asked, before.finished_at if before and before.finished_at else session.created_at)
    db.session.add(prompt)
    return prompt


def _run(
    one: Conversation, turn: Turn, prompt: Prompt, before: Execution | None, session: PromptSession, brought: Import
) -> Execution:
    request = to_json(RouterPrompt(messages=(*_before(one, turn), user(prompt.text))))
    run = Execution(
        id=new_id(),
        continues_id=before.id if before else None,
        organization_id=brought.project.organization_id,
        project_id=brought.project_id,
        session_id=session.id,
        prompt_id=prompt.id,
        user_id=brought.user_id,
        origin=Origin.IMPORT,
        payer=Payer.NOBODY,
        cost=0,
        model_type=session.model_type,
        requested=turn.answer.model[:200] or "auto",
        state=State.COMPLETED if turn.answer.text else State.CANCELLED,
        created_at=prompt.created_at,
        finished_at=max(_time(turn.answer, prompt.created_at), prompt.created_at),
        body=ExecutionBody(request=request, text=turn.answer.text),
    )
    db.session.add(run)
    return run


def _before(one: Conversation, turn: Turn) -> list[Message]:
    """As much of the conversation as a request keeps, from its end: all of it, with each run, would be too much."""
    kept, left = list[Message](), LONGEST_BEFORE
    while turn.after is not None and len(kept) < MOST_BEFORE:
        turn = one.turns[turn.after]
        for message in (assistant(turn.answer.text), user(one.prompts[turn.prompt].text)):
            left -= len(message.text)
            if left >= 0 and message.text:
                kept.append(message)
        if left < 0:
            break
    kept.reverse()
    return kept[1:] if kept and kept[0].role == "assistant" else kept


def _time(said: Said, otherwise: datetime) -> datetime:
    return datetime.fromisoformat(said.at) if said.at else otherwise
