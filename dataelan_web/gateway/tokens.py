"""Who calls: a gateway token, in the header in which the client of some API sends its key."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar
from wsgiref.types import WSGIEnvironment

from flask import g, has_request_context, request
from sqlalchemy import Connection, bindparam, event, func, select, text, update
from sqlalchemy.orm import Session, joinedload
from werkzeug.wsgi import get_content_length

from .. import logs, modes, pool, quota, second_net
from ..extensions import db, one_of_each, this_request
from ..models import Caller, Changed, GatewayToken, Mode, Project, now
from ..models.records import TokenRecord
from ..together import Together
from .errors import Refused

Read = TypeVar("Read")

TOUCH_AFTER = 60
PRESUMED = 64 * 1024
"""Bytes of a body that are kept until it is known that its caller is who was remembered."""
SLOW = 1.0
"""Seconds in which a body comes whose caller is not asked for again."""
MOST = 10_000
"""Tokens that a process remembers; one takes some 5 KB."""
ANTHROPICS, GEMINIS = "HTTP_X_API_KEY", "HTTP_X_GOOG_API_KEY"
"""Their clients' headers, beside OpenAI's `Authorization`: as the web server hands them on."""
CLOSED = "Dataelan is being looked after. Nothing was asked; send it again later. What runs goes on to its end."
IN_ADDRESS = ("key", "api_key", "access_token", "token")
HOW = "Send your Dataelan token as `Authorization: Bearer dlan_…`, `x-api-key: dlan_…` or `x-goog-api-key: dlan_…`."
NOT_THERE = "Do not send a token in the address: addresses are kept in logs and histories, where others read them."


def init_app() -> None:
    """Must be called where `db` is bound."""
    if not event.contains(db.session, "after_begin", _confirm_before_reading):
        event.listen(db.session, "after_begin", _confirm_before_reading, insert=True)  # before it goes inside


def authenticate(*, may_presume: bool = False) -> TokenRecord:
    """The token of this request. Raises Refused (401). Its last use is noted to the minute. It `may_presume` that a
    token is what it was when this process last asked: then all that is asked of the database raises Changed where it
    is not, and who answers without having asked it anything calls `confirm` first."""
    environ = this_request().environ
    secret = _secret(environ)
    if may_presume and (presumed := _presumed(secret, environ)):
        return presumed
    token = _find(secret, environ)
    if _is_to_be_noted(token):
        token.last_used_at = now()  # for whoever comes meanwhile: one of them notes it
        db.session.execute(_USED, {"token": token.id})
        db.session.commit()
        token = _find(secret, environ)  # as it is now: else all who come next would presume what it was
    return token


def read_by(token: TokenRecord, read: Callable[[TokenRecord], Read]) -> tuple[TokenRecord, Read]:
    """(the token, what its request says). Whoever sends slowly is asked for again once it is there, unless that is to
    come: else who begins many calls could end them whenever their token was revoked. Raises Refused."""
    begun = time.monotonic()
    found = read(token)
    if caller().is_confirmed and time.monotonic() - begun > SLOW:
        token = authenticate()
    return token, found


def _secret(environ: WSGIEnvironment) -> str:
    """What a client sends as its key. Raises Refused (401)."""
    scheme, _, sent = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    bearer = sent if scheme.lower() == "bearer" else ""
    secrets: set[str] = {bearer.strip(), environ.get(ANTHROPICS, "").strip(), environ.get(GEMINIS, "").strip()} - {""}
    if not secrets:
        is_shown = any(name in request.args for name in IN_ADDRESS)
        raise Refused(401, f"{NOT_THERE} {HOW}" if is_shown else HOW, "missing_token")
    if len(secrets) > 1:
        raise Refused(401, "Two headers name different tokens. Send one.", "invalid_token")
    return secrets.pop()


def _is_to_be_noted(token: TokenRecord) -> bool:
    last_used_at = token.last_used_at
    return last_used_at is None or (now() - last_used_at).total_seconds() > TOUCH_AFTER


def check_scope(token: TokenRecord, requested: str) -> None:
    """Raises Refused (403) for what this token may not ask for."""
    if not token.may_ask(requested):
        allowed = ", ".join(token.allows[:10])
        raise Refused(403, f"This token may ask for {allowed}; not for {requested}.", "model_not_allowed", "model")


_USED = (
    update(GatewayToken)
    .where(GatewayToken.id == bindparam("token"))
    .values(last_used_at=func.now())
    .execution_options(synchronize_session=False)
)
_CALLERS = """SELECT array_agg(ARRAY[asked.hash, c.token::text, c.stamp, c.mode, c.hub::text])
    FROM unnest(%(hashes)s::text[]) AS asked (hash) LEFT JOIN LATERAL gateway_caller(asked.hash) AS c ON true"""
_CALLER = text("SELECT c.token::text, c.stamp, c.mode, c.hub FROM gateway_caller(:hash) AS c")
_TOKEN = (
    select(GatewayToken)
    .options(joinedload(GatewayToken.project, innerjoin=True).joinedload(Project.organization, innerjoin=True))
    .where(GatewayToken.id == bindparam("token"))
)


def _find(secret: str, environ: WSGIEnvironment) -> TokenRecord:
    """The token, as long as whoever made it may still run prompts in its project: it carries their right, no more. A
    service account's carries the organization's, until it is switched off. In the trash, a project runs nothing. Raises
    Refused.

    That is asked at every call, here or with what it asks first (models/callers.py), by one function of the database;
    what is read after it is nothing of other organizations (second_net.py). What there is to say of the token, its
    project and its organization stays in memory until one of their rows is another; it belongs to no session.
    """
    hash = GatewayToken.digest(secret)
    g.pop("caller", None)  # of whom was presumed
    caller, known = _together().ask(hash), _known()
    if caller.token is None:
        known.pop(hash, None)  # else whoever goes on calling with it would be in others' messages, which fail for it
        raise _not_valid()
    found = known.get(hash)
    if found is None or found.caller.stamp != caller.stamp:
        token = _read(uuid.UUID(caller.token))
        if token is None:
            known.pop(hash, None)
            raise _not_valid()
        if len(known) >= MOST:
            known.clear()
        found = Known(caller, token)
    known[hash] = found._replace(caller=caller)
    return _let_in(found.token, caller, environ)


def _presumed(secret: str, environ: WSGIEnvironment) -> TokenRecord | None:
    """What this process remembers of it; None: nothing, or its use is to be noted, or a body would be kept for it that
    is large, or a form. Raises Refused."""
    is_json = environ.get("CONTENT_TYPE", "").startswith("application/json")
    if not is_json or (get_content_length(environ) or PRESUMED) >= PRESUMED:
        return None
    found = _known().get(GatewayToken.digest(secret))
    if found is None or _is_to_be_noted(found.token):
        return None
    return _let_in(found.token, found.caller.presumed(), environ)


def _let_in(token: TokenRecord, caller: Caller, environ: WSGIEnvironment) -> TokenRecord:
    """Raises Refused: it is over (401), its organization is suspended (403), or nothing can be asked just now (503)."""
    g.caller = caller
    second_net.until_commit(token.organization_id, token.created_by)
    if not token.is_valid(now()):
        raise _not_valid()
    logs.note(token=token.id)
    if token.is_suspended:
        raise Refused(403, "This organization is suspended. Ask whoever looks after Dataelan.", "suspended")
    if caller.mode == Mode.MAINTENANCE or (caller.mode == Mode.READ_ONLY and environ["REQUEST_METHOD"] == "POST"):
        raise Refused(503, CLOSED, "maintenance", after=modes.RETRY_AFTER)
    return token


def _not_valid() -> Refused:
    return Refused(401, "This token is not valid: unknown, expired or revoked.", "invalid_token")


def confirm() -> None:
    """Raises Changed where the caller of this request was presumed, and is another."""
    if presumed := _who_is_presumed():
        _confirmed(presumed, _together().ask(presumed.hash))


def _confirm_before_reading(_session: object, _transaction: object, connection: Connection) -> None:
    """On its own connection: with a second one each, those who read would take all that there are, and wait for each
    other."""
    if has_request_context() and (presumed := _who_is_presumed()):
        row = connection.execute(_CALLER, {"hash": presumed.hash}).one_or_none()
        _confirmed(presumed, _as_caller(presumed.hash, *(row or (None,) * 4)))


def _who_is_presumed() -> Caller | None:
    found: Caller | None = g.get("caller")
    return found if found and not found.is_confirmed else None


def _confirmed(presumed: Caller, caller: Caller) -> None:
    """Raises Changed."""
    if caller != replace(presumed, is_confirmed=True):
        raise Changed
    presumed.is_confirmed = True


@one_of_each("dataelan_callers_together")
def _together() -> Together[str, Caller]:
    """This application's."""
    return Together(_callers)


def _callers(hashes: Sequence[str]) -> list[Caller]:
    """Of each. A program mostly calls several times at once, and is looked up once."""
    said: list[list[Any]] = (pool.say(_CALLERS, {"hashes": quota.array(set(hashes))}) or ([],))[0]
    found = {hash: _as_caller(hash, *caller) for hash, *caller in said}
    return [found[hash] for hash in hashes]


def _as_caller(hash: str, token: str | None, stamp: str | None, mode: str | None, hub: str | int | None) -> Caller:
    return Caller(hash, token, stamp, mode, int(hub or 0))


def _read(id: uuid.UUID) -> TokenRecord | None:
    """With its project and organization, by a session of their own, which is over at once. None: it has just gone."""
    with Session(db.engine) as apart:
        row = apart.scalars(_TOKEN, {"token": id}).first()
        return TokenRecord.of(row) if row else None


class Known(NamedTuple):
    """What a process remembers of a token."""

    caller: Caller
    token: TokenRecord


def caller() -> Caller:
    """Of this request, as it was let in."""
    found: Caller = g.caller
    return found


@one_of_each("dataelan_callers")
def _known() -> dict[str, Known]:
    """This application's, by their hashes."""
    return {}
