"""A session's cards, a screenful at a time: its runs, and before them what a fork began with."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import gt, le, lt
from typing import Any

from flask import abort
from sqlalchemy import Select, Uuid, asc, bindparam, desc, func, literal, select, union_all
from sqlalchemy.orm import defaultload, joinedload, selectinload, undefer

from ..actions.cards import OF_RUN
from ..executions import branches
from ..executions.conversation import continues
from ..extensions import db
from ..limits import refusals
from ..models import (
    CopiedAnswer,
    Execution,
    ExecutionBody,
    Feedback,
    Prompt,
    PromptSession,
    State,
    TemplateRun,
)
from ..models.base import first_of

PAGE = 15
HEAVY = 40_000
"""Bytes of text after which a page is full, however few cards it has: a page should open at once."""

CARD = (
    joinedload(Execution.body).undefer(ExecutionBody.asked),
    joinedload(Execution.prompt).joinedload(Prompt.author),
    joinedload(Execution.prompt).selectinload(Prompt.assets),
    joinedload(Execution.model),
    joinedload(Execution.provider),
    joinedload(Execution.user),
    joinedload(Execution.template_run).joinedload(TemplateRun.template),
    joinedload(Execution.template_run).joinedload(TemplateRun.case),
    joinedload(Execution.waits_for),
    selectinload(Execution.attempts),
    selectinload(Execution.actions),
    selectinload(Execution.assets),
    selectinload(Execution.feedback).joinedload(Feedback.user),
    undefer(Execution.comments_count),  # type: ignore[attr-defined]
    undefer(Execution.blind_in),
    *OF_RUN,
)
"""What a run card needs, in eight queries for any number of cards; a few more where actions were called."""
COPY = (
    joinedload(CopiedAnswer.prompt).joinedload(Prompt.author),
    joinedload(CopiedAnswer.prompt).selectinload(Prompt.assets),
    selectinload(CopiedAnswer.assets),
)

Card = Execution | CopiedAnswer

# Made once, with all their options: that takes longer than to ask them.
_ANY: Any = bindparam("ids", expanding=True)
# Each request holds the whole conversation before it.
_RUNS = (
    select(Execution)
    .where(Execution.id.in_(_ANY))
    .options(*CARD, defaultload(Execution.body).defer(ExecutionBody.request))
)
_COPIES = select(CopiedAnswer).where(CopiedAnswer.id.in_(_ANY)).options(*COPY)
_READ = _RUNS.execution_options(populate_existing=True)


@dataclass(frozen=True)
class Window:
    """Some of a session's cards, oldest first. `older`, `newer`: the card to page on from; None: there are no more."""

    cards: list[Card]
    older: uuid.UUID | None = None
    newer: uuid.UUID | None = None
    end: uuid.UUID | None = None
    """The last run of the branch when the page was made; later ones come to its end by themselves."""

    @property
    def is_empty(self) -> bool:
        return not self.cards


def latest(session: PromptSession, end: uuid.UUID | None) -> Window:
    """The last cards of the branch that ends with this run."""
    rows, older = _page(session, end, desc)
    return Window(_cards(rows), older, end=end)


def before(session: PromptSession, id: uuid.UUID, end: uuid.UUID | None) -> Window:
    rows, older = _page(session, end, desc, lt, id)
    return Window(_cards(rows), older, end=end)


def after(session: PromptSession, id: uuid.UUID, end: uuid.UUID | None) -> Window:
    rows, newer = _page(session, end, asc, gt, id)
    return Window(_cards(rows), newer=newer, end=end)


def around(session: PromptSession, id: uuid.UUID, end: uuid.UUID | None) -> Window:
    """This card, what led to it, and what came after on its branch."""
    up_to, older = _page(session, end, desc, le, id, PAGE // 2, HEAVY // 2)
    rest, newer = _page(session, end, asc, gt, id, PAGE // 2, HEAVY // 2)
    return Window(_cards([*up_to, *rest]), older, newer, end)


def _page(
    session: PromptSession,
    end: uuid.UUID | None,
    order: Callable[[Any], Any],
    compare: Callable[[Any, Any], Any] | None = None,
    place: uuid.UUID | None = None,
    most: int = PAGE,
    heavy: int = HEAVY,
) -> tuple[list[Any], uuid.UUID | None]:
    """The first cards in this order, as many as a page takes, and the last of them if there are more."""
    asked = {"session": session.id, "end": end, **({"place": place} if compare else {})}
    found = db.session.execute(_sizes(continues(session), order, compare, most + 1), asked).all()
    taken: list[Any] = []
    for row in found[:most]:
        if taken and sum(one.size for one in taken) + row.size > heavy:
            break
        taken.append(row)
    return taken, taken[-1].id if len(taken) < len(found) else None


@cache
def _sizes(
    is_tree: bool, order: Callable[[Any], Any], compare: Callable[[Any, Any], Any] | None, most: int
) -> Select[Any]:
    """Cards as (id, is it a run?, bytes of its text); `compare`: those whose ids compare so with `place`."""
    cards = _timeline(is_tree)
    id = cards.selected_columns.id
    here = cards.where(compare(id, bindparam("place"))) if compare else cards
    few = here.order_by(order(id)).limit(most).subquery()
    texts = (ExecutionBody.text, ExecutionBody.reasoning, CopiedAnswer.text, Prompt.text)
    size = sum((func.coalesce(func.octet_length(text), 0) for text in texts), start=literal(0))
    return (
        select(few.c.id, few.c.is_run, size.label("size"))
        .outerjoin(Execution, Execution.id == few.c.id)
        .outerjoin(ExecutionBody, ExecutionBody.id == few.c.id)
        .outerjoin(CopiedAnswer, CopiedAnswer.id == few.c.id)
        .outerjoin(Prompt, Prompt.id == first_of(Execution.prompt_id, CopiedAnswer.prompt_id))
        .order_by(order(few.c.id))
    )


def _timeline(is_tree: bool) -> Select[Any]:
    """Every card of the `session`, on the branch of `end`, as (id, is it a run?). Copies were made before all runs, and
    so are their ids."""
    here, end = bindparam("session", type_=Uuid()), bindparam("end", type_=Uuid())
    on_branch = Execution.id.in_(branches.path(end)) if is_tree else Execution.id <= end
    runs = select(Execution.id, literal(True).label("is_run"))
    runs = runs.where(Execution.session_id == here, branches.is_shown(), on_branch)
    copies = select(CopiedAnswer.id, literal(False)).where(CopiedAnswer.session_id == here)
    return select(union_all(runs, copies).subquery())


def _cards(rows: Sequence[Any]) -> list[Card]:
    cards: list[Card] = []
    for query, is_run in ((_RUNS, True), (_COPIES, False)):
        if ids := [row.id for row in rows if row.is_run is is_run]:
            cards += db.session.scalars(query, {"ids": ids})
    branches.tell([card for card in cards if isinstance(card, Execution)])
    return sorted(cards, key=lambda card: card.id)


def read(id: uuid.UUID) -> Execution:
    """A run with all that its card needs. Also one just begun: what a limit stops is over a moment later."""
    found = db.session.scalars(_READ, {"ids": [id]}).one()
    branches.tell([found])
    refusals.tell([found])
    return found


def place_of(session: PromptSession, id: uuid.UUID) -> uuid.UUID:
    """The id of one of its cards, on whichever branch; 404 for any other."""
    run = select(Execution.id).where(Execution.session_id == session.id, branches.is_shown())
    copy = select(CopiedAnswer.id).where(CopiedAnswer.session_id == session.id)
    found = select(union_all(run.where(Execution.id == id), copy.where(CopiedAnswer.id == id)).subquery())
    return id if db.session.execute(found).first() else abort(404)


def states(session: PromptSession) -> list[tuple[uuid.UUID, State]]:
    """Of the latest runs."""
    shown = Execution.session_id == session.id, branches.is_shown()
    query = select(Execution.id, Execution.state).where(*shown).order_by(Execution.id.desc())
    return [(id, state) for id, state in db.session.execute(query.limit(PAGE))]
