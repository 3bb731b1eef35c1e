"""The libraries that hook into the application, unbound until `create_core` and `create_app` bind them; how a part of
it keeps what each application has one of; and what Flask's proxies stand for, to read which takes forty steps each."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from flask import Flask, Request, current_app, request
from flask_login import LoginManager, current_user
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from flask_wtf import CSRFProtect
from htmx_flask import Htmx
from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError

from .models.base import Base

log = logging.getLogger(__name__)

Kept = TypeVar("Kept")


class ForgivingSession(Session):
    """Its end never fails: what a close rolls back is nothing that anybody wanted kept.

    Were the error of a connection that is gone let out of it, a whole answer would become an empty 500, and the
    session, known by where its context lay in memory, would be left to the next request that lies there.
    """

    def close(self) -> None:
        try:
            super().close()
        except DBAPIError as error:
            log.warning("a connection was gone when its session ended: %s", error)


class Login(LoginManager):
    """Nobody stays signed in by a second cookie: a page has nothing to do for one when it is answered."""

    def init_app(self, app: Flask, add_context_processor: bool = True) -> None:
        app.login_manager = self  # type: ignore[attr-defined]
        app.context_processor(lambda: {"current_user": current_user._get_current_object()})


# Tables are declared on our own Base. What a commit wrote stays readable without asking the database again;
# rows changed by an UPDATE statement are refreshed where that matters.
db = SQLAlchemy(metadata=Base.metadata, session_options={"class_": ForgivingSession, "expire_on_commit": False})
login = Login()
csrf = CSRFProtect()
htmx = Htmx()


def this_request() -> Request:
    found: Request = request._get_current_object()  # type: ignore[attr-defined]
    return found


def kept_as(name: str) -> Any:
    """What this application has under that name in its `extensions`."""
    return current_app._get_current_object().extensions[name]  # type: ignore[attr-defined]


def one_of_each(name: str) -> Callable[[Callable[[], Kept]], Callable[[], Kept]]:
    """For a function that makes what each application has one of, in its `extensions`: made when it is first asked for,
    and the same from then on."""

    def of(make: Callable[[], Kept]) -> Callable[[], Kept]:
        @wraps(make)
        def ours() -> Kept:
            kept: dict[str, Kept] = current_app._get_current_object().extensions  # type: ignore[attr-defined]
            try:
                return kept[name]
            except KeyError:
                return kept.setdefault(name, make())

        return ours

    return of


def waits(statement: Executable) -> bool:
    """Whether it finds a row: for the threads of a worker, which look many times a minute and mostly find nothing. One
    round trip, no transaction, nothing locked."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return connection.execute(statement).first() is not None
