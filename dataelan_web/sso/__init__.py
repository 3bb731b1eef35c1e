"""Single sign-on by OpenID Connect, for enterprises: there and back, who comes in as what, and where that leads."""

from flask import Flask

from . import gate
from .commands import prove_domain
from .routes import bp
from .settings_routes import settings_bp


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.register_blueprint(settings_bp)
    app.cli.add_command(prove_domain)
    gate.init_app(app)
