"""All answers of a comparison over one connection: words as they come, then each finished answer in its place.

A browser that comes back gets what there is so far in place of what it has; so no message needs an id.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import redis
from flask import current_app, g
from markupsafe import escape
from sqlalchemy import select

from ...executions import live
from ...executions.draining import draining
from ...extensions import db
from ...jobs.queue import store
from ...models import Comparison, ComparisonRun, Execution
from ...models.executions import OPEN
from ...web import partial
from ..blocks import ANEW, Blocks, all_anew, pieces
from ..stream import KEEP_ALIVE, message
from . import differences
from .board import Board, board, open_ids, tell_refusals

Begun = dict[str, Blocks]
"""By the place that holds something."""

PACE = 0.05
"""Seconds between two messages: twenty a second are smooth, for however many answers."""


def events(comparison_id: uuid.UUID, can_edit: bool) -> Iterator[str]:
    """Hold no database connection while waiting. Where this process is to leave, it ends without a word, and the
    browser comes back to another."""
    yield KEEP_ALIVE
    leaving = draining().is_leaving
    found = _board(comparison_id)
    waiting, is_held = open_ids(found), found.is_hidden
    if not (is_held and waiting):  # whatever ended before the browser came to listen
        yield message(_ended_pieces(found, [run for run in found.runs if run.id not in waiting], can_edit))
    db.session.commit()
    after, begun = dict.fromkeys(waiting, "0"), Begun()
    for said in _said(after):
        if leaving.is_set():
            return
        if not is_held and (words := "".join(_words(waiting[id], entry, begun) for id, entry in said.items())):
            yield message(words)
        ended = [id for id, entry in said.items() if entry.ended] or ([] if said else _over(after))
        for id in ended:
            after.pop(id)
        if ended and not (is_held and after):
            found = _board(comparison_id)
            runs = [run for run in found.runs if is_held or run.id in ended]
            yield message(_ended_pieces(found, runs, can_edit))
            db.session.commit()
        elif not said:
            yield KEEP_ALIVE
    yield "event: done\ndata: \n\n"


def _said(after: dict[uuid.UUID, str]) -> Iterator[dict[uuid.UUID, live.Entry]]:
    """What comes; without Valkey, nothing every two seconds: PostgreSQL knows what has ended."""
    try:
        for said in live.follow_all(store(), after):
            yield said
            time.sleep(PACE)
    except redis.RedisError:
        while after:
            yield {}
            time.sleep(2)


def _words(run: ComparisonRun, entry: live.Entry, begun: Begun) -> str:
    """What is added to an answer; or what takes the place of all that was there, at first and where it is told anew.
    `begun`: the places that hold something, which is kept up to date."""
    place = f"#answer-{run.place}-{run.turn}"
    return _thought(f"{place}-reasoning", entry, begun) + _text(place, entry, begun)


def _thought(place: str, entry: live.Entry, begun: Begun) -> str:
    is_there = place in begun
    if not (entry.reasoning or (entry.is_anew and is_there)):
        return ""
    begun[place] = Blocks(0)
    return partial(place, str(escape(entry.reasoning)), "beforeend" if is_there and not entry.is_anew else ANEW)


def _text(place: str, entry: live.Entry, begun: Begun) -> str:
    is_there = place in begun
    if not (entry.text or (entry.is_anew and is_there)):
        return ""
    if entry.is_anew or not is_there:
        begun[place] = Blocks()
        return all_anew(place, entry.text, begun[place])
    return pieces(place, entry.text, begun[place])


def _ended_pieces(found: Board, runs: list[ComparisonRun], can_edit: bool) -> str:
    """Finished answers in their places, and what is told of all of them."""
    tell_refusals(found)
    template = current_app.jinja_env.get_template("playground/compare/ended.html")
    told = {"board": found, "comparison": found.comparison, "runs": runs, "can_edit": can_edit}
    told |= differences.between(found, "", "")
    return template.render(**told, organization=g.organization)


def _board(comparison_id: uuid.UUID) -> Board:
    return board(db.session.get_one(Comparison, comparison_id, populate_existing=True))


def _over(after: dict[uuid.UUID, str]) -> list[uuid.UUID]:
    """Of those waited for, what has ended without a word."""
    query = select(Execution.id).where(Execution.id.in_(after), Execution.state.not_in(OPEN))
    ended = list(db.session.scalars(query))
    db.session.commit()
    return ended
