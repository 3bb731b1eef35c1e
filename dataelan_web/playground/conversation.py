"""A session's runs: what is shown, and what a new prompt continues."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from ..executions.prompts import from_json
from ..extensions import db
from ..models import Execution, ExecutionBody, ModelType, Prompt, PromptSession, State, TemplateRun
from ..router.types import Message, ToolResult, ToolUse, assistant

PAGE = 20

CARD = (
    joinedload(Execution.body),
    joinedload(Execution.prompt).joinedload(Prompt.author),
    joinedload(Execution.prompt).selectinload(Prompt.assets),
    joinedload(Execution.model),
    joinedload(Execution.provider),
    joinedload(Execution.user),
    joinedload(Execution.template_run).joinedload(TemplateRun.template),
    joinedload(Execution.template_run).joinedload(TemplateRun.case),
    selectinload(Execution.attempts),
    selectinload(Execution.actions),
    selectinload(Execution.assets),
)
"""What a run card needs, in five queries for any number of cards."""


def runs(session: PromptSession, before: uuid.UUID | None = None) -> tuple[list[Execution], uuid.UUID | None]:
    """The latest runs, oldest first, and the id to page on from, or None when there are no older ones. Their order is
    that of the database's clock; an id has that of the machine which made it."""
    query = select(Execution).where(Execution.session_id == session.id)
    if before:
        query = query.where(Execution.created_at < select(Execution.created_at).where(Execution.id == before))
    rows = list(db.session.scalars(query.order_by(Execution.created_at.desc()).limit(PAGE + 1).options(*CARD)))
    older = rows[PAGE - 1].id if len(rows) > PAGE else None
    return rows[:PAGE][::-1], older


def continues(session: PromptSession) -> bool:
    """Is a prompt part of a conversation? Those for pictures, voice and films each stand for themselves."""
    return session.model_type in (ModelType.TEXT, ModelType.CODE)


@dataclass(frozen=True)
class Turn:
    """What was asked, with its files or what tools answered, and what came of it."""

    asked: Message
    text: str
    calls: tuple[ToolUse, ...]

    @property
    def results(self) -> set[str]:
        return {part.id for part in self.asked.parts if isinstance(part, ToolResult)}


def so_far(session: PromptSession) -> tuple[Message, ...]:
    """The conversation a new prompt continues: what the session was opened with, then each prompt as it was asked,
    with its last whole answer."""
    opening = from_json({"messages": session.settings.get("opening", [])}).messages
    asked = ExecutionBody.request["messages"][-1]  # before it stands the conversation up to there, once more
    query = (
        select(Execution.prompt_id, asked, ExecutionBody.text, ExecutionBody.tool_calls)
        .join(ExecutionBody, ExecutionBody.id == Execution.id)
        .where(Execution.session_id == session.id, Execution.state == State.COMPLETED)
        .order_by(Execution.created_at)
    )
    latest: dict[uuid.UUID | None, Turn] = {}
    for prompt_id, message, text, calls in db.session.execute(query):
        latest.pop(prompt_id, None)
        latest[prompt_id] = _turn(message, text, calls)
    return (*opening, *_messages(list(latest.values())))


def _turn(message: dict[str, Any], text: str, calls: Iterable[dict[str, str]]) -> Turn:
    (asked,) = from_json({"messages": [message]}).messages
    return Turn(asked, text, tuple(ToolUse(call["id"], call["name"], call["arguments"]) for call in calls))


def _messages(turns: list[Turn]) -> Iterator[Message]:
    """Providers refuse a tool call without its result, and a result without its call: neither goes along alone."""
    open_calls: set[str] = set()
    for turn, answered in zip(turns, _answered(turns), strict=True):
        parts = tuple(p for p in turn.asked.parts if not isinstance(p, ToolResult) or p.id in open_calls)
        said = (*(assistant(turn.text).parts if turn.text else ()), *answered)
        open_calls = set()
        if parts and said:
            yield replace(turn.asked, parts=parts)
            yield Message("assistant", said)
            open_calls = {call.id for call in answered}


def _answered(turns: list[Turn]) -> list[tuple[ToolUse, ...]]:
    """Of each turn, the tool calls whose results the next one brings, if that one itself came to something."""
    answered: list[tuple[ToolUse, ...]] = []
    results: set[str] = set()
    for turn in reversed(turns):
        answered.append(tuple(call for call in turn.calls if call.id in results))
        results = turn.results if turn.text or answered[-1] else set()
    return answered[::-1]
