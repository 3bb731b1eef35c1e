"""What a form asks is done once, however often it is sent: by a double click, by “send again”, by a line that broke.

Each form carries a mark (`ui.csrf`), and a route that makes something says `@done_once()`. The first to come notes who
sent what under which mark, in the transaction of what it does; so the note is there if and only if that was committed.
A second one waits for it, does nothing, and is given the first one’s answer, kept by Valkey for a while. Where there
is none, because it held a secret or Valkey was away, it is told that it was done. What was refused, or changed nothing,
may be sent again as it was. A form without a mark, as somebody's own program may send it, is done as often as it comes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ParamSpec, cast

import redis
from flask import Flask, Response, current_app, g, has_app_context, make_response, request
from flask_login import current_user
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, SessionTransaction
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from . import web
from .extensions import db
from .jobs import queue
from .models.sent_forms import CLAIM, RELEASE, WAS_LATELY

log = logging.getLogger(__name__)

Asked = ParamSpec("Asked")
View = Callable[Asked, AnyResponse]

MARK = web.MARK
A_MARK = re.compile(r"[\w-]{8,100}", re.ASCII)
NOT_SAID = ("csrf_token", MARK)
"""Fields that say nothing of what is asked."""
LONGEST_ANSWER = 256 * 1024
"""Bytes; a longer one is not kept."""
KEPT, WAY_KEPT = 10 * 60, 24 * 3600
"""Seconds that an answer is kept, which may hold words of somebody; and one that only says where to go."""
SLOWEST = 0.3
"""Seconds that Valkey has. A form is done without it."""
WAITS, LOOKS_EVERY = 3.0, 0.05
"""Seconds for an answer whose work is committed already."""

DONE = "This was sent twice, and done once. Look at the page anew to see what came of it."
TOLD_ONCE = (
    "This was sent twice, and done once. A secret that came of it was told once, too, and is kept nowhere: if you have "
    "not seen it, make another, and take back the one that nobody has."
)
AT_IT = "This was sent twice, and the first is still being worked on. Look at the page anew in a moment."


class DoneMeanwhile(Exception):
    """Somebody else committed the same, after this one had rolled back its own note."""


@dataclass
class Claim:
    """The note of one form that is being worked on."""

    id: uuid.UUID
    is_held: bool = False
    """Noted in the transaction that is open."""
    is_kept: bool = False
    """… and that was committed."""

    def take(self) -> bool | None:
        """See models.sent_forms.CLAIM."""
        taken = db.session.scalar(CLAIM, {"id": self.id})
        self.is_held = taken is True
        return taken

    def release(self) -> None:
        """It may be sent again. What was not committed is rolled back."""
        db.session.rollback()
        if self.is_kept:
            db.session.execute(RELEASE, {"id": self.id})
            db.session.commit()


def init_app(app: Flask) -> None:
    """Must be called where `db` is bound."""
    app.extensions["dataelan_answers"] = queue.within(SLOWEST, app.extensions["dataelan_redis"])
    if not event.contains(db.session, "after_commit", _kept):
        event.listen(db.session, "before_commit", _take_again)
        event.listen(db.session, "after_commit", _kept)
        event.listen(db.session, "after_transaction_end", _ended)


def done_once(*, tells_secret: bool = False) -> Callable[[View[Asked]], View[Asked]]:
    """For a view that makes something. `tells_secret`: its answer may show what is shown once, and is not kept."""

    def around(view: View[Asked]) -> View[Asked]:
        @functools.wraps(view)
        def guarded(*args: Asked.args, **given: Asked.kwargs) -> AnyResponse:
            mark = request.form.get(MARK, "") if request.method == "POST" else ""
            if not A_MARK.fullmatch(mark):
                return view(*args, **given)
            return _once(Claim(_id(mark)), lambda: view(*args, **given), tells_secret)

        guarded.is_done_once = True  # type: ignore[attr-defined]
        guarded.tells_secret = tells_secret  # type: ignore[attr-defined]
        return guarded

    return around


def _once(claim: Claim, act: Callable[[], AnyResponse], tells_secret: bool) -> AnyResponse:
    if (taken := claim.take()) is not True:
        return _second(claim, taken, tells_secret)
    g.claim = claim
    try:
        answer = make_response(act())
    except DoneMeanwhile:
        return _second(claim, False, tells_secret)
    except HTTPException:
        _let_go(claim)
        raise
    finally:
        g.claim = None
    if answer.status_code >= 400 or answer.is_streamed or not claim.is_kept:
        claim.release()
        return answer
    if not tells_secret:
        _keep(claim, answer)
    return web.spent(answer)


def _let_go(claim: Claim) -> None:
    """It was refused midway. Any other error is no refusal: what was committed before it stays done."""
    with suppress(SQLAlchemyError):
        claim.release()


# -- the second --------------------------------------------------------------------------------------


def _second(claim: Claim, taken: bool | None, tells_secret: bool) -> AnyResponse:
    was_lately = taken is False and db.session.scalar(WAS_LATELY, {"id": claim.id})
    db.session.rollback()  # no connection is held while it waits
    if taken is None:
        return web.said(AT_IT, "warn")
    if tells_secret:
        return web.spent(web.said(TOLD_ONCE, "danger"))
    for answer in _answers(claim, WAITS if was_lately else 0):
        if answer is not None:
            return web.spent(answer)
    return web.spent(web.said(DONE, "warn"))


def _answers(claim: Claim, seconds: float) -> Iterator[Response | None]:
    """What is found, look by look."""
    deadline = time.monotonic() + seconds
    with suppress(redis.RedisError):
        while True:
            if kept := _answers_kept().get(_key(claim)):
                yield _read(cast(bytes, kept))
                return
            if time.monotonic() > deadline:
                return
            time.sleep(LOOKS_EVERY)


# -- answers that are kept ---------------------------------------------------------------------------


def _keep(claim: Claim, answer: Response) -> None:
    body = answer.get_data(as_text=True)
    if len(body) > LONGEST_ANSWER:
        return
    said = {"for": web.wants_fragment(), "status": answer.status_code, "body": body}
    said["headers"] = web.kept_headers(answer)
    is_way = 300 <= answer.status_code < 400 or not body
    try:
        _answers_kept().set(_key(claim), json.dumps(said), ex=WAY_KEPT if is_way else KEPT)
    except redis.RedisError as error:
        log.info("the answer to a form is not kept: %s", error)


def _read(kept: bytes) -> Response | None:
    """None: it was for another kind of asker, a page for htmx or the other way round."""
    said: dict[str, Any] = json.loads(kept)
    if said["for"] != web.wants_fragment():
        return None
    return make_response(said["body"], said["status"], said["headers"])


def _key(claim: Claim) -> str:
    return f"dataelan:sent:{claim.id.hex}"


def _answers_kept() -> redis.Redis:
    return cast(redis.Redis, current_app.extensions["dataelan_answers"])


# -- whose form it is --------------------------------------------------------------------------------


def _id(mark: str) -> uuid.UUID:
    """Of one person, one address, one mark, and what the form says: with other words it is another act."""
    who = str(current_user.id) if current_user.is_authenticated else ""
    digest = hashlib.sha256()
    for said in (who, request.full_path, mark, *_said()):
        digest.update(hashlib.sha256(said.encode("utf-8", "replace")).digest())
    return uuid.UUID(bytes=digest.digest()[:16])


def _said() -> Iterator[str]:
    for name, words in request.form.items(multi=True):
        if name not in NOT_SAID:
            yield name or ""  # a part of a form may have none
            yield words
    for name, file in request.files.items(multi=True):
        yield name or ""
        yield file.filename or ""
        yield hashlib.file_digest(file.stream, "sha256").hexdigest()  # type: ignore[arg-type]
        file.stream.seek(0)


# -- the transaction it is noted in ------------------------------------------------------------------


def _claim() -> Claim | None:
    return g.get("claim") if has_app_context() else None


def _take_again(session: Session) -> None:
    """The view rolled back, and goes on in another transaction."""
    claim = _claim()
    if claim and not claim.is_held and not claim.is_kept and not session.in_nested_transaction() and not claim.take():
        raise DoneMeanwhile


def _kept(session: Session) -> None:
    claim = _claim()
    if claim and claim.is_held and not session.in_nested_transaction():
        claim.is_kept = True


def _ended(session: Session, transaction: SessionTransaction) -> None:
    claim = _claim()
    if claim and transaction.parent is None:
        claim.is_held = False
