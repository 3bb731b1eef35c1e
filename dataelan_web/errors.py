"""Errors as a page, a fragment or JSON, each with what to do next; a 500 with an id that is in the log."""

from __future__ import annotations

import contextlib
import logging
import secrets
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request, url_for
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from jinja2_fragments.flask import render_block
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed
from werkzeug.wrappers import Response as AnyResponse

from . import api_errors
from .extensions import db, login
from .web import asked_from, redirect

log = logging.getLogger(__name__)

INSIDE = "/o/"
SECRET = ("/s/", "/join/", "/account/address/", "/reset/")
"""What addresses begin with that end with the secret of a link."""
AWAY = "Nothing that was saved is lost. Try again in a few seconds; what you sent is not done twice."
GONE = "Somebody deleted it while you changed it, so what you sent was not done."
WORDS = {404: "No such address.", 405: "That method is not allowed here."}


def init_app(app: Flask) -> None:
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _known)
    for error in (StaleDataError, ObjectDeletedError):
        app.register_error_handler(error, _gone)
    app.register_error_handler(Exception, _unknown)
    app.log_exception = lambda exc_info: None  # type: ignore[method-assign]  # `_unknown` does, with a number
    login.unauthorized_handler(_sign_in)


def _known(error: HTTPException) -> AnyResponse:
    if isinstance(error.response, AnyResponse):
        return error.response
    if isinstance(error, InternalServerError) and isinstance(error.original_exception, Exception):
        return _unknown(error.original_exception)  # what broke after the view: an error's page, or the headers
    code = error.code or 500
    answer = show(code, text=None if code in (404, 403) else error.description)
    if isinstance(error, MethodNotAllowed):
        answer.headers["Allow"] = ", ".join(error.valid_methods or ())
    return answer


def _csrf(error: CSRFError) -> AnyResponse:
    if not current_user.is_authenticated and request.path.startswith(INSIDE):
        return _sign_in()  # its sign-in has ended, and the form's token with it; the browser has kept what was written
    text = "This page was open for too long, or cookies are switched off. Reload it and send again; your draft is kept."
    return show(403, title="That form has expired", text=text)


def _gone(error: StaleDataError | ObjectDeletedError) -> AnyResponse:
    """A row that was there when this request looked it up, and is no more as it is written or read again. What programs
    ask changes no such row."""
    if request.path.startswith(api_errors.PATHS):
        return _unknown(error)
    log.info("deleted meanwhile: %s", error)
    with contextlib.suppress(SQLAlchemyError):
        db.session.rollback()
    return show(404, title="It is not there any more", text=GONE)


def _unknown(error: Exception) -> AnyResponse:
    error_id, is_away = secrets.token_hex(6), _is_database_away(error)
    secret = next((one for one in SECRET if request.path.startswith(one)), "")
    path = f"{secret}…" if secret else request.path  # which holds the secret of a link
    where = f"error {error_id} at {request.method} {path}"
    if is_away:
        log.error("%s: the database is away: %s", where, error)
    else:
        log.exception(where)
    with contextlib.suppress(SQLAlchemyError):
        db.session.rollback()
    if not is_away:
        return show(InternalServerError.code, error_id=error_id)
    answer = show(503, title="The database does not answer", text=AWAY, error_id=error_id)
    answer.headers["Retry-After"] = "5"
    return answer


def _is_database_away(error: Exception) -> bool:
    """It cannot be reached, broke off, has no connection left, or gave up a statement: another try may go well."""
    is_broken = isinstance(error, DBAPIError) and error.connection_invalidated
    return is_broken or isinstance(error, OperationalError | InterfaceError | DisconnectionError | PoolTimeout)


def show(code: int, *, title: str | None = None, text: str | None = None, error_id: str | None = None) -> Response:
    """One error in the form the asker understands."""
    if request.path.startswith(api_errors.PATHS):
        return _json(code, text or title, error_id)
    context: dict[str, Any] = {"code": code, "title": title, "text": text, "error_id": error_id}
    if error_id:
        return _bare(code, context)
    if "organization" in g and current_user.is_authenticated:
        context |= {"layout": "shell.html", "home_url": url_for("organizations.home", slug=g.organization.slug)}
    if request.htmx:  # type: ignore[attr-defined]
        return make_response(render_block("errors/error.html", "message", **context), code)
    return make_response(render_template("errors/error.html", **context), code)


def _bare(code: int, context: dict[str, Any]) -> Response:
    """Without the context processors, which ask the database who is signed in: it may be what broke."""
    template = current_app.jinja_env.get_template("errors/error.html")
    if request.htmx:  # type: ignore[attr-defined]
        return make_response("".join(template.blocks["message"](template.new_context(context))), code)
    return make_response(template.render(context), code)


def _json(code: int, message: str | None, error_id: str | None) -> Response:
    """The form of whose API was called, which its clients understand."""
    problem = api_errors.Problem(code, message or WORDS.get(code, "It failed."), code=error_id or "")
    api = api_errors.api_of(request.path, request.headers)
    return make_response(jsonify(api_errors.body_of(problem, api, g.get("request_id", ""))), code)


def _sign_in() -> AnyResponse:
    """Visitors go to the sign-in page and come back to where they were; a fragment asks the browser to do so."""
    is_page = request.method == "GET" and not request.htmx  # type: ignore[attr-defined]
    here = request.full_path.rstrip("?") if is_page else asked_from()
    url = url_for("accounts.login", next=here or None)
    return redirect(url, fragment_status=401)
