"""A session's page and its parts: whole, its composer alone, and the card of a run that has just begun."""

from __future__ import annotations

import uuid

from flask import Response, g, url_for

from .. import access
from ..extensions import db
from ..limits import refusals
from ..models import Execution, PromptSession
from ..projects import totals
from ..web import render
from . import composer, conversation
from .connect import is_newcomer, newcomer
from .forms import PromptForm


def page(session: PromptSession, form: PromptForm, fragment: str | None = None, status: int = 200) -> Response:
    executions, older = conversation.runs(session)
    refusals.tell(executions)
    g.project = session.project
    return render(
        "playground/session.html",
        fragment,
        status=status,
        session=session,
        totals=totals.of_session(session),
        executions=executions,
        older_url=older_url(session, older),
        can_edit=access.may(access.EDIT, session),
        newcomer=newcomer() if is_newcomer(session) else None,
        **composer.context(session, form),
    )


def older(session: PromptSession, before: uuid.UUID) -> Response:
    """Earlier runs, to put before those that are there."""
    executions, further = conversation.runs(session, before)
    refusals.tell(executions)
    return render(
        "playground/older.html",
        session=session,
        executions=executions,
        older_url=older_url(session, further),
        can_edit=access.may(access.EDIT, session),
    )


def started(execution: Execution, retried: uuid.UUID | None = None) -> Response:
    """A new run's card for the end of the list, and the form it came from ready for the next: the composer, or the
    button of the run that was `retried`."""
    card = db.session.scalars(
        db.select(Execution).where(Execution.id == execution.id).options(*conversation.CARD)
    ).one()
    return render(
        "playground/session.html",
        "started",
        status=201,
        execution=card,
        session=card.session,
        totals=totals.of_session(card.session) if card.session else totals.Totals(),
        retried=retried,
        can_edit=True,
    )


def older_url(session: PromptSession, before: uuid.UUID | None) -> str | None:
    return url_for("playground.show", id=session.id, before=before) if before else None
