"""A prompt of a session becomes a template: its system text, its settings, its words."""

from __future__ import annotations

import json
import uuid

from flask import abort
from sqlalchemy.orm import joinedload

from .. import access
from ..executions.prompts import from_json
from ..models import Execution, ModelType, Project
from ..playground.asking import title_of
from ..playground.chat_form import EFFORTS, stops_typed
from ..playground.compare.hiding import refuse_blind
from ..router.types import Prompt, TextPart
from .content import Content, Turn
from .editor_form import clean


def editable(id: uuid.UUID) -> Execution:
    """A run whose prompt can be kept: of text or code. 404 for others."""
    execution = access.editable(Execution, id, joinedload(Execution.body), joinedload(Execution.project))
    if execution.model_type not in (ModelType.TEXT, ModelType.CODE):
        abort(404)
    refuse_blind(execution)
    return execution


def project_of(execution: Execution) -> Project:
    """Where it is seen, and its prompt is kept: a session may have been moved since."""
    return execution.session.project if execution.session else execution.project


def id_in(text: str) -> uuid.UUID:
    """404 for what is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        abort(404)


def name_of(execution: Execution) -> str:
    turns = _turns(_prompt(execution))
    return title_of(turns[-1].text) if turns else ""


def content_of(execution: Execution, *, with_conversation: bool = False) -> Content:
    """As typed: braces in it are variables from now on. Files do not come along, and what tools answered neither."""
    prompt = _prompt(execution)
    turns = _turns(prompt)
    return Content(
        system=clean(prompt.system),
        messages=turns if with_conversation else turns[-1:],
        model_type=execution.model_type.value,
        requested=execution.requested,
        max_tokens=str(prompt.max_tokens or ""),
        temperature="" if prompt.temperature is None else f"{prompt.temperature:g}",
        top_p="" if prompt.top_p is None else f"{prompt.top_p:g}",
        seed="" if prompt.seed is None else str(prompt.seed),
        stop=stops_typed(prompt.stop),
        reasoning_effort=prompt.reasoning_effort if prompt.reasoning_effort in EFFORTS else "",
        schema=_json(prompt.schema),
        tools=_json([vars(tool) for tool in prompt.tools] or None),
    )


def earlier_turns(execution: Execution) -> int:
    """Messages that came before it in its conversation."""
    return max(len(_turns(_prompt(execution))) - 1, 0)


def _prompt(execution: Execution) -> Prompt:
    return from_json(execution.body.request)


def _turns(prompt: Prompt) -> tuple[Turn, ...]:
    turns = (
        Turn(message.role, clean("".join(part.text for part in message.parts if isinstance(part, TextPart))))
        for message in prompt.messages
        if message.role in ("user", "assistant")
    )
    return tuple(turn for turn in turns if turn.text.strip())


def _json(value: object) -> str:
    return "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
