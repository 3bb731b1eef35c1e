"""The migration line: from an empty database to the tables that the models describe, and nothing else."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import Column, Connection, MetaData, Table, inspect, select, text

from dataelan_web import create_app
from dataelan_web.config import load
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


def test_a_database_of_the_first_version_with_a_row_in_every_table_goes_forth_and_back(
    app: Flask, environment: dict[str, str]
) -> None:
    with an_empty_database(app, environment):
        upgrade(revision="0001")
        with db.engine.begin() as connection:
            tables = filled(connection)
        upgrade()
        downgrade(revision="0001")
        upgrade()
        with db.engine.connect() as connection:
            assert all(connection.execute(select(table.c[0]).limit(1)).first() for table in tables)


MADE = {
    "function": """SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid) FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace AND p.prokind IN ('f', 'p')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')""",
    "trigger": "SELECT tgname::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "policy": "SELECT tablename || '.' || policyname, concat_ws(' ', qual, with_check) FROM pg_policies",
    "index": "SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraint": """SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace""",
}


def test_each_step_back_leaves_what_the_step_before_it_had_made(app: Flask, environment: dict[str, str]) -> None:
    """One that makes a trigger or function anew has to know what all before it wrote there."""
    line = [one.revision for one in ScriptDirectory("migrations").walk_revisions()][::-1]
    with an_empty_database(app, environment):
        made = []
        for revision in line:
            upgrade(revision=revision)
            made.append(made_so_far())
        for revision, before in list(zip(line, made, strict=True))[-2::-1]:
            downgrade(revision=revision)
            assert made_so_far() == before, f"after the step back to {revision}"


def made_so_far() -> dict[str, str]:
    with db.engine.connect() as connection:
        found = {kind: connection.execute(text(query)).all() for kind, query in MADE.items()}
    return {f"{kind} {name}": as_written for kind, rows in found.items() for name, as_written in rows}


@contextmanager
def an_empty_database(app: Flask, environment: dict[str, str]) -> Iterator[None]:
    """And an application on it."""
    name = f"old_{uuid.uuid4().hex[:8]}"
    with app.app_context(), db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = re.sub(r"/\w+(\?|$)", rf"/{name}\1", environment["DATABASE_URL"])
    with create_app(load({**environment, "DATABASE_URL": url})).app_context():
        yield


def filled(connection: Connection) -> list[Any]:
    """One row in every table, each naming those before it. Returns the tables."""
    found, ids = MetaData(), dict[str, uuid.UUID]()
    found.reflect(connection)
    tables = [table for table in found.sorted_tables if table.name != "alembic_version"]
    for table in tables:
        ids[table.name] = uuid.uuid4()
        row = some_row(connection, table, ids)
        row |= {"id": ids[table.name]} if "id" in row and not table.c.id.foreign_keys else {}
        connection.execute(table.insert().values(**row))
    return tables


def some_row(connection: Connection, table: Table, ids: dict[str, Any]) -> dict[str, Any]:
    """Values that its columns take, naming rows of these ids by table."""
    words = dict[str, str]()
    for check in inspect(connection).get_check_constraints(table.name):
        if word := re.search(r'(\w+)"?\)?::text = ANY .*?\[\'(\w+)\'', check["sqltext"]):
            words[word[1]] = word[2]
    return {column.name: words.get(column.name) or some(column, ids) for column in table.columns}


def some(column: Column[Any], ids: dict[str, Any]) -> Any:
    """A value that the column takes."""
    for key in column.foreign_keys:
        named = key.column.table.name
        return None if named == column.table.name else ids[named]
    kinds = {
        uuid.UUID: uuid.uuid4(),
        bool: True,
        datetime: datetime.now(UTC),
        int: 1,
        float: 1.0,
        str: uuid.uuid4().hex[:20],
    }
    return kinds.get(column.type.python_type, [])
