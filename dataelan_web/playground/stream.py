"""A run's events for a browser: text as it comes, then the finished card in its place.

Framing (htmx 4 with hx-sse): an unnamed message holds pieces for places of the card (`<hx-partial>`), such as words for
the end of its text (blocks.py); the event `done` closes the connection for good. A message's id is its place in the
Valkey stream, sent back as Last-Event-ID by a browser that lost its connection.
"""

from __future__ import annotations

import contextlib
import time
import uuid
import zlib
from collections.abc import Iterator

import redis
from flask import Response, current_app, g, request, stream_with_context
from markupsafe import escape
from sqlalchemy.exc import SQLAlchemyError

from ..executions import live
from ..executions.draining import draining
from ..extensions import db
from ..jobs.queue import store
from ..models import Attempt, Execution, Model, Provider
from ..projects import totals
from ..web import partial
from . import conversation
from .blocks import ANEW, Blocks, all_anew, pieces

KEEP_ALIVE = ":\n\n"
AGAIN = 2.0
"""Seconds after which a stream that could not be read is tried again."""
GZIP = 16 + zlib.MAX_WBITS
NAMED_WITHIN = 1.0
"""Seconds to wait for the name of the model, when a run says that it has begun before it was chosen."""


def as_they_come(events: Iterator[str]) -> Response:
    """The response to a browser that listens. Packed where it takes that, and each message sent at once: most of what
    an answer brings is framing, and its finished card says all of it once more."""
    body = stream_with_context(events)
    response = Response(mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})
    response.vary.add("Accept-Encoding")
    response.response = body
    if request.accept_encodings["gzip"]:
        response.content_encoding, response.response = "gzip", _packed(body)
    return response


def _packed(pieces: Iterator[str]) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=GZIP)
    for piece in pieces:
        yield packer.compress(piece.encode()) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def events(execution_id: uuid.UUID, can_edit: bool, *, is_markdown: bool = True) -> Iterator[str]:
    """Hold no database connection while waiting: an open tab costs one idle Valkey connection. Where this process is to
    leave, it ends without a word, and the browser comes back to another. `is_markdown`: as a transcript is not."""
    yield KEEP_ALIVE
    leaving = draining().is_leaving
    seen, is_named, is_over = _last_seen(), False, _is_over(execution_id)
    while True:
        try:
            blocks = _blocks(execution_id, seen, is_markdown=is_markdown)
            for entry in live.follow(store(), execution_id, seen, wait=not is_over):
                if leaving.is_set():
                    return
                if entry is None:
                    yield KEEP_ALIVE
                    if _is_over(execution_id):  # the stream may be gone; PostgreSQL knows
                        break
                    continue
                seen = entry.id
                if entry.is_anew:
                    blocks = _blocks(execution_id, "0", is_markdown=is_markdown)
                if said := _said(execution_id, entry, blocks):
                    yield message(said, entry.id)  # one message: a reader that comes back has seen all of it or none
                if entry.ended:
                    break
                if not is_named:  # after the first words, which must not wait for it
                    name = _model_now(execution_id, patience=0 if entry.text or entry.reasoning else NAMED_WITHIN)
                    is_named = bool(name)
                    yield message(name)
            break
        except redis.RedisError:  # away: it goes on where it stopped, or from the start, once Valkey is back
            if is_over := _is_over(execution_id):
                break
            if leaving.is_set():
                return
            yield KEEP_ALIVE
            time.sleep(AGAIN)
    yield message(finished(execution_id, can_edit))
    yield "event: done\ndata: \n\n"


def _blocks(execution_id: uuid.UUID, seen: str, *, is_markdown: bool) -> Blocks:
    """As they are for a reader who has seen this much. Raises RedisError."""
    blocks = Blocks() if is_markdown else Blocks(0)
    if seen != "0":
        blocks.add(live.written(store(), execution_id, until=seen).text)
    return blocks


def _said(execution_id: uuid.UUID, entry: live.Entry, blocks: Blocks) -> str:
    """What is added to the card; or what takes the place of all that was there, where an entry begins anew."""
    target, thought = f"#run-{execution_id}", str(escape(entry.reasoning))
    how_far = partial(f"{target}-progress", _progress(entry.progress), "innerHTML") if entry.progress else ""
    if entry.is_anew:
        return partial(f"{target}-reasoning", thought, ANEW) + how_far + all_anew(target, entry.text, blocks)
    return (partial(f"{target}-reasoning", thought) if thought else "") + how_far + pieces(target, entry.text, blocks)


def message(html: str, id: str = "") -> str:
    lines = "".join(f"data: {line}\n" for line in html.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return f"{f'id: {id}' if id else ''}\n{lines}\n" if id else f"{lines}\n"


def finished(execution_id: uuid.UUID, can_edit: bool) -> str:
    """The finished card, the session's new totals, and a word for screen readers."""
    execution = conversation.read(execution_id)
    sums = totals.of_session(execution.session) if execution.session else totals.Totals()
    # Not render_template: the person's navigation has no place in this piece, and their session is long closed.
    template = current_app.jinja_env.get_template("playground/finished.html")
    html = template.render(execution=execution, totals=sums, can_edit=can_edit, organization=g.organization)
    db.session.commit()
    return html


def _progress(said: str) -> str:
    """A bar for what live.Entry.progress says."""
    share, _, word = said.partition(" ")
    template = current_app.jinja_env.get_template("playground/progress.html")
    return template.render(share=min(max(float(share), 0.0), 1.0) if share else None, word=word)


def _model_now(execution_id: uuid.UUID, patience: float) -> str:
    """Which model is answering; nothing when that is not known within `patience` seconds."""
    query = db.select(Attempt).where(Attempt.execution_id == execution_id).order_by(Attempt.number.desc()).limit(1)
    until = time.monotonic() + patience
    while (attempt := db.session.scalars(query).first()) is None and time.monotonic() < until:
        db.session.commit()
        time.sleep(0.1)
    provider = db.session.get(Provider, attempt.provider_id) if attempt and attempt.provider_id else None
    model = db.session.get(Model, attempt.model_id) if attempt and attempt.model_id else None
    if attempt is None:
        return ""
    template = current_app.jinja_env.get_template("playground/answering.html")
    html = template.render(execution_id=execution_id, attempt=attempt, model=model, provider=provider)
    db.session.commit()
    return html


def _is_over(execution_id: uuid.UUID) -> bool:
    """Not while the database is away: it is asked again a few seconds later."""
    try:
        execution = db.session.get(Execution, execution_id, populate_existing=True)
        over = execution is None or not execution.is_open
        db.session.commit()
        return over
    except SQLAlchemyError:
        with contextlib.suppress(SQLAlchemyError):
            db.session.rollback()
        return False


def _last_seen() -> str:
    """A place in a Valkey stream (`ms-seq`), as the browser last saw it; the start for anything else."""
    seen = request.headers.get("Last-Event-ID", "")
    first, _, second = seen.partition("-")
    return seen if first.isdecimal() and second.isdecimal() and len(seen) < 40 else "0"
