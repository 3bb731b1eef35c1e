"""A session's page and its parts: whole, its composer alone, and the card of a run that has just begun."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, g, url_for
from flask_login import current_user

from .. import access
from ..executions import branches
from ..limits import refusals
from ..models import Execution, PromptSession
from ..projects import totals
from ..web import asked_from, render
from . import composer, conversation, organizing
from .compare import listing
from .connect import is_newcomer, newcomer
from .conversation import Window
from .forms import PromptForm


def page(
    session: PromptSession,
    form: PromptForm,
    fragment: str | None = None,
    status: int = 200,
    at: uuid.UUID | None = None,
) -> Response:
    """`at`: the card to open it at, on that card's branch; else it opens at the end of the newest."""
    end = (branches.end_of(session, at) if at else None) or branches.newest(session)
    window = conversation.around(session, at, end) if at else conversation.latest(session, end)
    form.continues.data = form.continues.data or str(end or "")
    g.project = session.project
    return render(
        "playground/session.html",
        fragment,
        status=status,
        session=session,
        totals=totals.of_session(session),
        is_starred=organizing.is_starred(session, current_user.id),
        can_edit=access.may(access.EDIT, session),
        newcomer=newcomer() if is_newcomer(session) else None,
        **_cards(session, window),
        **composer.context(session, form),
    )


def more(session: PromptSession, window: Window) -> Response:
    """Further cards, in place of what asked for them."""
    return render(
        "playground/more.html", session=session, can_edit=access.may(access.EDIT, session), **_cards(session, window)
    )


def card(execution: Execution) -> Response:
    """A run's card alone, as it is now."""
    return render(
        "playground/run.html",
        "execution",
        execution=conversation.read(execution.id),
        session=execution.session,
        can_edit=access.may(access.EDIT, execution) and execution.session_id is not None,
    )


def started(execution: Execution, once: str = "submission") -> Response:
    """A new run's card for the end of the list, and the form it came from ready for the next: the composer, or a button
    by the name of its `once` (ui.only_once)."""
    found = conversation.read(execution.id)
    return render(
        "playground/session.html",
        "started",
        status=201,
        execution=found,
        session=found.session,
        totals=totals.of_session(found.session) if found.session else totals.Totals(),
        once=once,
        can_edit=True,
    )


def is_its_own(execution: Execution) -> bool:
    """Whether who asks looks at this run's own page."""
    return asked_from().partition("?")[0] == url_for("playground.execution", id=execution.id)


def branched(execution: Execution, session: PromptSession) -> Response:
    """The branch that begins with a new run, in place of the one that was shown."""
    window = conversation.latest(session, execution.id)
    return render(
        "playground/session.html",
        "branched",
        status=201,
        execution=execution,
        session=session,
        totals=totals.of_session(session),
        can_edit=True,
        **_cards(session, window),
    )


def _cards(session: PromptSession, window: Window) -> dict[str, Any]:
    """These cards, each run with what a limit or a comparison has to say of it."""
    runs = [card for card in window.cards if isinstance(card, Execution)]
    refusals.tell(runs)
    listing.tell(runs)

    def url(**place: Any) -> str:
        return url_for("playground.show", id=session.id, **place)

    return {
        "cards": window.cards,
        "older_url": url(before=window.older, branch=window.end) if window.older else None,
        "newer_url": url(after=window.newer, branch=window.end) if window.newer else None,
    }
