"""What a model refuses, as its page says it and the operator may correct it."""

from __future__ import annotations

from collections.abc import Iterable

from ... import audit
from ...extensions import db
from ...models import Model
from ...router import names
from ...router.parameters import CHAT_COMPLETIONS, OF_TASK, REFUSABLE
from ...router.types import Task


def refusable_by(model: Model) -> list[str]:
    """What its task could be sent with. Only one format has another beside it."""
    has_other = model.provider.kind == "openai"
    return [name for name in OF_TASK.get(Task(model.task), ()) if name != CHAT_COMPLETIONS or has_other]


def refused_by(model: Model) -> list[str]:
    """Of what its task could be sent with."""
    refused = names.refused(model.name) if model.refuses is None else model.refuses
    return [name for name in OF_TASK.get(Task(model.task), ()) if name in refused]


def in_words(model: Model) -> list[str]:
    return [REFUSABLE[name] for name in refused_by(model)]


def set_refused(model: Model, parameters: Iterable[str]) -> None:
    """Commits."""
    model.refuses = sorted(parameters)
    audit.record("model.changed", model, model.organization_id, refuses=model.refuses)
    db.session.commit()
