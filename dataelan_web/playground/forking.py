"""A fork: a session that begins as another one did. Its prompts are copies; the answers under them are copies too, to
read and to continue, and cost nothing here: the runs, and what they cost, stay the other session's."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import g
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload, undefer

from .. import audit
from ..executions import branches
from ..executions.conversation import continues, is_said
from ..extensions import db
from ..models import Asset, CopiedAnswer, Execution, Model, Prompt, PromptSession, State, new_id


@dataclass(frozen=True)
class _Turn:
    """A prompt and one answer to it, a run's or a copy."""

    prompt: Prompt
    asked: dict[str, Any]
    text: str
    tool_calls: list[Any]
    model_name: str
    answered_at: datetime | None
    run_id: uuid.UUID | None
    made: Sequence[Asset]


def fork(session: PromptSession, until: uuid.UUID | None, user_id: uuid.UUID) -> PromptSession:
    """`until`: the last run that goes along; None: all of them. Commits."""
    made = PromptSession(
        id=new_id(),
        project=session.project,
        title=f"{session.title[:190]} (fork)",
        model_type=session.model_type,
        settings={name: value for name, value in session.settings.items() if name != "starter"},
        tags=list(session.tags),
        created_by=user_id,
        forked_from_id=session.id,
    )
    db.session.add(made)
    for turn in _turns(session, until):
        _copy(turn, made)
    audit.record("session.forked", made, g.organization.id, source=str(session.id))
    db.session.commit()
    return made


def _turns(session: PromptSession, until: uuid.UUID | None) -> Iterator[_Turn]:
    """Each prompt that was answered, with its last answer, in their order: as a prompt would continue them."""
    latest: dict[uuid.UUID, _Turn] = {}
    for turn in (*_copied(session, until), *_own(session, until)):
        latest.pop(turn.prompt.id, None)
        latest[turn.prompt.id] = turn
    yield from latest.values()


def _copied(session: PromptSession, until: uuid.UUID | None) -> Iterator[_Turn]:
    query = (
        select(CopiedAnswer)
        .where(CopiedAnswer.session_id == session.id)
        .options(joinedload(CopiedAnswer.prompt).selectinload(Prompt.assets), selectinload(CopiedAnswer.assets))
        .order_by(CopiedAnswer.id)
    )
    for one in db.session.scalars(query.where(CopiedAnswer.id <= until) if until else query):
        yield _Turn(
            one.prompt,
            one.asked,
            one.text,
            one.tool_calls,
            one.model_name,
            one.answered_at,
            one.execution_id,
            one.assets,
        )


def _own(session: PromptSession, until: uuid.UUID | None) -> Iterator[_Turn]:
    query = (
        select(Execution)
        .where(*_of_branch(session, until), Execution.state == State.COMPLETED, Execution.deleted_at.is_(None))
        .where(is_said())
        .options(
            joinedload(Execution.body),
            undefer(Execution.blind_in),
            joinedload(Execution.model).load_only(Model.display_name),
            joinedload(Execution.prompt).selectinload(Prompt.assets),
            selectinload(Execution.assets),
        )
        .order_by(Execution.id)
    )
    for run in db.session.scalars(query):
        if run.prompt:
            asked, name = run.body.request["messages"][-1], _model_of(run)
            calls = run.body.tool_calls
            yield _Turn(run.prompt, asked, run.body.text, calls, name, run.finished_at, run.id, run.assets)


def _model_of(run: Execution) -> str:
    if run.blind_in:
        return ""
    return run.model.display_name if run.model else run.requested


def _of_branch(session: PromptSession, until: uuid.UUID | None) -> tuple[Any, ...]:
    """The runs of a conversation that led to this one, or to the newest; where each stands alone, those up to it."""
    if continues(session):
        return (Execution.id.in_(branches.path(until or branches.newest(session))),)
    return Execution.session_id == session.id, *([Execution.id <= until] if until else [])


def _copy(turn: _Turn, to: PromptSession) -> None:
    given = {str(asset.id): _file(asset, to) for asset in turn.prompt.assets}
    prompt = Prompt(id=new_id(), session=to, author_id=turn.prompt.author_id, text=turn.prompt.text)
    prompt.created_at, prompt.assets = turn.prompt.created_at, list(given.values())
    db.session.add(
        CopiedAnswer(
            id=new_id(),
            session_id=to.id,
            prompt=prompt,
            execution_id=turn.run_id,
            asked=_with_own_files(turn.asked, given),
            text=turn.text,
            tool_calls=turn.tool_calls,
            model_name=turn.model_name,
            answered_at=turn.answered_at,
            assets=[_file(asset, to) for asset in turn.made],
        )
    )


def _file(asset: Asset, to: PromptSession) -> Asset:
    """A row of the fork's own for the same bytes."""
    same = ("organization_id", "user_id", "position", "name", "media_type", "size", "sha256", "storage_key", "note")
    return Asset(id=new_id(), project_id=to.project.id, **{name: getattr(asset, name) for name in same})


def _with_own_files(asked: dict[str, Any], files: dict[str, Asset]) -> dict[str, Any]:
    """The message with the copies' ids in place of the files'. A file that was deleted does not come along."""
    parts = [
        {**part, "asset": str(files[part["asset"]].id)} if part.get("asset") else part
        for part in asked["parts"]
        if not part.get("asset") or part["asset"] in files
    ]
    return {**asked, "parts": parts}
