"""The migration line: from an empty database to the tables that the models describe, and nothing else."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask

from dataelan_web.extensions import db


def test_migrations_from_an_empty_database_end_at_the_models(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        found = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(found, db.metadata) == []


def test_there_is_one_line_of_migrations_and_the_database_is_at_its_end(app: Flask) -> None:
    with app.app_context(), db.engine.connect() as connection:
        heads = ScriptDirectory("migrations").get_heads()
        assert len(heads) == 1
        assert MigrationContext.configure(connection).get_current_heads() == tuple(heads)
