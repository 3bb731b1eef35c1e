"""A prompt goes on as a session: its words in the composer, what comes before them at the session's beginning."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from ..executions.prompts import to_json
from ..extensions import db
from ..models import ModelType, PromptSession, Template, new_id
from ..router.types import Message, Prompt
from . import language
from .content import Content
from .refusals import Refused
from .variables import fill


def session_of(template: Template, content: Content, values: Mapping[str, str], user_id: uuid.UUID) -> PromptSession:
    """A variable without a value stays as it was typed. Raises Refused. Commits."""
    if problem := next(iter(content.problems.values()), ""):
        raise Refused(f"It cannot be opened like this: {problem}")
    known = fill(content.settled.variables, values).values
    filled = {name: known.get(name) or f"{{{{{name}}}}}" for name in content.names}
    prompt = content.prompt(filled)
    turns = [message for message in prompt.messages if message.role != "system"]
    last = turns.pop() if turns and turns[-1].role == "user" else None
    session = PromptSession(id=new_id(), project=template.project, title=template.name, created_by=user_id)
    session.model_type = ModelType(content.model_type)
    session.settings = {
        "model": content.requested,
        "system": language.render(content.system, filled),
        "max_tokens": prompt.max_tokens,
        "temperature": prompt.temperature,
        "top_p": prompt.top_p,
        "seed": prompt.seed,
        "stop": content.stop,
        "reasoning_effort": prompt.reasoning_effort,
        "schema": content.schema,
        "tools": content.tools,
        "text": last.text if last else "",
        "opening": _messages(turns),
    }
    db.session.add(session)
    db.session.commit()
    return session


def _messages(turns: list[Message]) -> list[dict[str, object]]:
    return list(to_json(Prompt(messages=tuple(turns)))["messages"])
