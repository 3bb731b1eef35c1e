"""People: signing up, in and out, and what each may change of their own account."""

from flask import Flask, g
from flask_login import current_user

from ..extensions import login
from . import (  # noqa: F401  (whose routes are theirs)
    account_routes,
    acting_routes,
    impersonating,
    lately,
    leaving_routes,
    needed_routes,
    passkey_routes,
    proof_routes,
    reset_routes,
    signing_in,
    two_factor_routes,
)
from .cookies import SignedSessions
from .proving import code_beside
from .routes import bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.register_blueprint(account_routes.account)
    app.register_blueprint(reset_routes.forgotten)
    app.register_blueprint(acting_routes.bp)
    impersonating.init_app(app)
    lately.init_app(app)
    login.user_loader(signing_in.load)
    app.session_interface = SignedSessions()
    app.jinja_env.globals["code_beside"] = _code_beside


def _code_beside() -> str:
    """For each form of a page that asks for the password: found out once."""
    if "code_beside" not in g:
        g.code_beside = code_beside(current_user)
    return str(g.code_beside)
