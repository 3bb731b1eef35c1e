"""Quotes of saved prompts: kept with the runs they were for, and how they did."""

from __future__ import annotations

import uuid

from ..models import Execution, ModelType, Template, TemplateRun
from ..playground.quotes import kept
from ..playground.quotes.kept import Record
from ..playground.quotes.where import of_template


def asked(run: TemplateRun, user_id: uuid.UUID) -> str:
    """What a quote was for: the same contents with the same values."""
    return kept.digest(run.template_id, user_id, run.digest, run.values, run.said)


def keep(execution: Execution, user_id: uuid.UUID, token: str) -> None:
    """With its run, if it was for that. Commits."""
    if execution.template_run:
        kept.keep(execution, asked(execution.template_run, user_id), token)


def record(template: Template) -> Record | None:
    return kept.record(of_template(template, ModelType.TEXT))
