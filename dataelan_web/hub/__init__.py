"""The Model Hub: providers, keys, models with their prices, and the rules that choose."""

from flask import Flask

from .archive import routes as archive_routes  # noqa: F401  (the pages add themselves to the blueprint)
from .blueprint import bp, operators_bp, url
from .endings import routes as ending_routes  # noqa: F401
from .keys import routes as key_routes  # noqa: F401
from .models import catalogue_routes  # noqa: F401
from .models import routes as model_routes  # noqa: F401
from .models.commands import models
from .models.purpose import ability_words
from .providers import connect_routes  # noqa: F401
from .providers import routes as provider_routes  # noqa: F401
from .rules import routes as rule_routes  # noqa: F401
from .settings import routes as setting_routes  # noqa: F401
from .transfer import routes as transfer_routes  # noqa: F401


def init_app(app: Flask) -> None:
    app.register_blueprint(bp)
    app.register_blueprint(operators_bp)
    app.jinja_env.globals["hub_url"] = url
    app.cli.add_command(models)
    app.jinja_env.filters["ability"] = ability_words
