"""What a prompt is asked in, and so whose past it has: a session, or a saved prompt."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import Select, false, select

from ...models import Execution, ModelType, Project, PromptSession, Template, TemplateRun

LATEST = 50


@dataclass(frozen=True)
class Where:
    id: uuid.UUID
    name: str
    """As in “the last 20 answers in …”."""
    project: Project
    model_type: ModelType
    latest: Select[uuid.UUID]
    """The ids of its last runs."""


def in_session(session: PromptSession) -> Where:
    latest = select(Execution.id).where(Execution.session_id == session.id).order_by(Execution.created_at.desc())
    return Where(session.id, "this session", session.project, session.model_type, latest.limit(LATEST))


def before_a_session(project: Project, model_type: ModelType) -> Where:
    """Where the first prompt is written, nothing was asked yet."""
    return Where(project.id, "this session", project, model_type, select(Execution.id).where(false()))


def of_template(template: Template, model_type: ModelType) -> Where:
    latest = (
        select(TemplateRun.id).where(TemplateRun.template_id == template.id).order_by(TemplateRun.created_at.desc())
    )
    return Where(template.id, "this prompt", template.project, model_type, latest.limit(LATEST))
