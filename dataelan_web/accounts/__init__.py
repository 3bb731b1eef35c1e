"""People: signing up, in and out."""

import uuid

from flask import Flask
from sqlalchemy import bindparam, select

from ..extensions import db, login
from ..models import User
from .cookies import SignedSessions
from .routes import bp


# Asked with every request, and so made once: to make a statement takes longer than to ask it.
_BY_ID = select(User).where(User.id == bindparam("id"))


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    login.user_loader(load_user)
    app.session_interface = SignedSessions()


def load_user(cookie: str) -> User | None:
    """The person of a login cookie, unless they have signed out everywhere or changed their password since."""
    id, _, session_key = cookie.partition(".")
    try:
        user = db.session.scalar(_BY_ID, {"id": uuid.UUID(id)})
    except ValueError:
        return None
    return user if user and user.session_key == session_key else None
