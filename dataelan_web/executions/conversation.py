"""The conversation that a prompt continues: each prompt of its session as it was asked, with its last whole answer."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select

from ..extensions import db
from ..models import (
    Asset,
    Comparison,
    CopiedAnswer,
    Execution,
    ExecutionBody,
    PromptSession,
    State,
)
from ..router.types import FilePart, ImagePart, Message, ToolResult, ToolUse, assistant
from . import branches
from .prompts import from_json


def continues(session: PromptSession) -> bool:
    """Is a prompt part of a conversation? Those for pictures, voice and films each stand for themselves."""
    return session.model_type in PromptSession.CONVERSATIONS


@dataclass(frozen=True)
class Turn:
    """What was asked, with its files or what tools answered, and what came of it."""

    asked: Message
    text: str
    calls: tuple[ToolUse, ...]

    @property
    def results(self) -> set[str]:
        return {part.id for part in self.asked.parts if isinstance(part, ToolResult)}

    @property
    def files(self) -> set[str]:
        return {part.asset for part in self.asked.parts if isinstance(part, ImagePart | FilePart) and part.asset}

    def without(self, files: set[str]) -> Turn:
        parts = (p for p in self.asked.parts if not (isinstance(p, ImagePart | FilePart) and p.asset in files))
        return replace(self, asked=replace(self.asked, parts=tuple(parts)))


def so_far(session: PromptSession, end: uuid.UUID | None) -> tuple[Message, ...]:
    """What a prompt after the run `end` continues: what the session was opened with, or a fork began with, then the
    runs of that branch; none of them for None. What was deleted is not told to a model any more."""
    opening = from_json({"messages": session.settings.get("opening", [])}).messages
    latest: dict[uuid.UUID | None, Turn] = {}
    for prompt_id, message, text, calls in (*_copied(session), *_own(end)):
        latest.pop(prompt_id, None)
        latest[prompt_id] = _turn(message, text, calls)
    return (*opening, *_messages(_without_deleted(list(latest.values()))))


def is_said() -> ColumnElement[bool]:
    """Of an Execution: is it part of the conversation? Repairs of action calls are not, and of a comparison's answers
    only the one that was gone on from."""
    gone_on_from = select(Comparison.id).where(Comparison.continued_id == Execution.id).exists()
    return and_(Execution.repairs_id.is_(None), or_(~branches.is_compared(), gone_on_from))


def _copied(session: PromptSession) -> Iterable[Any]:
    query = select(CopiedAnswer.prompt_id, CopiedAnswer.asked, CopiedAnswer.text, CopiedAnswer.tool_calls)
    return db.session.execute(query.where(CopiedAnswer.session_id == session.id).order_by(CopiedAnswer.id)).all()


def _own(end: uuid.UUID | None) -> Iterable[Any]:
    asked = ExecutionBody.request["messages"][-1]  # before it stands the conversation up to there, once more
    return db.session.execute(
        select(Execution.prompt_id, asked, ExecutionBody.text, ExecutionBody.tool_calls)
        .join(ExecutionBody, ExecutionBody.id == Execution.id)
        .where(
            Execution.id.in_(branches.path(end)),
            Execution.state == State.COMPLETED,
            Execution.deleted_at.is_(None),
            is_said(),
        )
        .order_by(Execution.id)
    ).all()


def _turn(message: dict[str, Any], text: str, calls: Iterable[dict[str, str]]) -> Turn:
    (asked,) = from_json({"messages": [message]}).messages
    return Turn(asked, text, tuple(ToolUse(call["id"], call["name"], call["arguments"]) for call in calls))


def _without_deleted(turns: list[Turn]) -> list[Turn]:
    """A file in the trash, or gone, would make every further prompt fail."""
    named = set[str]().union(*(turn.files for turn in turns))
    if not named:
        return turns
    there = select(Asset.id).where(Asset.id.in_(named), Asset.deleted_at.is_(None))
    gone = named - {str(id) for id in db.session.scalars(there)}
    return [turn.without(gone) for turn in turns] if gone else turns


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
