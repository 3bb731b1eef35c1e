"""Runs migrations on the application's own database connection."""

from alembic import context
from flask import current_app
from sqlalchemy import text

import dataelan_web.models  # noqa: F401 (its tables are what migrations compare with)
from dataelan_web import second_net
from dataelan_web.extensions import db

ONE_AT_A_TIME = 7_313_001
"""An advisory lock: two starting machines must not migrate at once."""


def run() -> None:
    with db.engine.connect() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_lock(:id)"), {"id": ONE_AT_A_TIME})
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            context.run_migrations()
        second_net.spread(connection)
        connection.execute(text("SELECT pg_advisory_unlock(:id)"), {"id": ONE_AT_A_TIME})
        connection.commit()


run()
