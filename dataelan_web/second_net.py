"""The second net under access.py: a request inside an organization sees no rows of another, whatever it asks for.

PostgreSQL itself leaves them out (row-level security): each table that says whose a row is has a policy, made by a
migration, which names the organization of the transaction. Policies bind neither superusers nor the owner of a table,
and Dataelan is mostly both. So from the statement that opens its organization (access.enter_organization) a request
goes on in a role that may read and write as the owner does, and is bound: `stay_inside` takes it to the end of the
transaction, and again for each that the request begins later. A program's call goes on in it from where its token is
found (gateway/tokens.py) until it commits, and then no more: to take the role again is a round trip. All else (workers,
the rest of a call, commands, migrations, backups, pages of no organization) goes on as the owner, plans its queries as
it always did, and pays nothing. Neither does a call for which nothing is read (executions/at_once.py).

It is against mistakes, not against who can send any statement: they could leave the role again.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, g, has_request_context
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError

from .extensions import db

log = logging.getLogger(__name__)

STAY_INSIDE = text("SELECT stay_inside(:organization, :person)")
ROLE = "left(current_database(), 50) || '_inside'"
"""Of each database its own: in that of somebody else's, on the same server, it may do nothing."""
OFF = "row-level security is off (%s): somebody who may has to CREATE ROLE %s; GRANT %s TO %s; then flask db upgrade"


def init_app(app: Flask) -> None:
    """Must be called where `db` is bound."""
    if not event.contains(db.session, "after_begin", _go_on_inside):
        event.listen(db.session, "after_begin", _go_on_inside)
        event.listen(db.session, "after_commit", lambda session: leave())


def until_commit(organization_id: uuid.UUID, person_id: uuid.UUID | None) -> None:
    """What this request reads from now on is of this organization, until it commits, or leaves."""
    g.inside_until_commit = {"organization": organization_id, "person": person_id}


def leave() -> None:
    if has_request_context():
        g.pop("inside_until_commit", None)


def _inside() -> dict[str, Any] | None:
    """The organization and the person of this request, while it is inside."""
    found = (g.get("inside") or g.get("inside_until_commit")) if has_request_context() else None
    return found or None


def _go_on_inside(session: Any, transaction: Any, connection: Connection) -> None:
    """The first transaction of a page is inside from the statement that opened its organization."""
    if (inside := _inside()) and not transaction.nested:
        connection.execute(STAY_INSIDE, inside)


@contextmanager
def lifted() -> Iterator[None]:
    """To look out: for who is told of this in other organizations, and for a statement that names its tenant and is too
    slow inside: behind a policy PostgreSQL looks into no index by what it does not take for leakproof, such as the day
    of a time. Two round trips; where nobody is inside, none."""
    inside = _inside()
    if inside:
        db.session.execute(text("SET LOCAL ROLE NONE"))
    try:
        yield
    except BaseException:
        db.session.rollback()  # what is begun then is inside
        raise
    if inside:
        db.session.execute(STAY_INSIDE, inside)


# -- the role ----------------------------------------------------------------------------------------


def spread(connection: Connection) -> bool:
    """After migrations: the role is there, may use every table, and `stay_inside` takes it. False: there is no net, as
    before its migration, or because the account of the database may make no role. Commits."""
    if connection.scalar(text("SELECT to_regprocedure('stay_inside(uuid, uuid)')")) is None:
        return False
    name = connection.scalar(text(f"SELECT {ROLE}"))
    quoted = text("SELECT quote_ident(:name), quote_literal(:name), quote_ident(current_user)")
    role, literal, account = connection.execute(quoted, {"name": name}).one()
    if not _has(connection, role):
        try:
            _make(connection, role, account)
        except DBAPIError as problem:
            connection.rollback()
            log.warning(OFF, str(problem.orig).partition("\n")[0], role, role, account)
            return False
    for statement in (*connection.scalars(_RIGHTS, {"role": role}), _TAKEN.format(role=literal)):
        connection.execute(text(statement))
    connection.commit()
    return True


def is_spread() -> bool:
    """Does `stay_inside` take the role?"""
    return bool(db.session.scalar(text("SELECT prosrc ~ 'true' FROM pg_proc WHERE oid = to_regproc('stay_inside')")))


def _has(connection: Connection, role: str) -> bool:
    """May this account take it?"""
    try:
        connection.execute(text(f"SET LOCAL ROLE {role}"))
    except DBAPIError:
        return False
    finally:
        connection.rollback()
    return True


def _make(connection: Connection, role: str, account: str) -> None:
    """Raises DBAPIError where that is not allowed."""
    if connection.scalar(text("SELECT to_regrole(:role)"), {"role": role}) is None:
        connection.execute(text(f"CREATE ROLE {role} NOLOGIN"))
    connection.execute(text(f"GRANT {role} TO {account}"))


_RIGHTS = text("""
SELECT format('GRANT USAGE ON SCHEMA %I TO ', current_schema()) || :role
UNION ALL
SELECT format('GRANT %s %I TO ', CASE
    WHEN relkind = 'S' THEN 'USAGE, SELECT ON SEQUENCE'
    WHEN relname = 'audit_events' THEN 'SELECT, INSERT ON'
    ELSE 'SELECT, INSERT, UPDATE, DELETE ON' END, relname) || :role
FROM pg_class
WHERE pg_get_userbyid(relowner) = current_user AND relnamespace::regnamespace::text = quote_ident(current_schema())
  AND relkind IN ('r', 'p', 'S') AND NOT has_table_privilege(to_regrole(:role), oid, 'SELECT')
""")
"""Of what it may not use yet, so that an upgrade that changes nothing changes nothing here."""
_TAKEN = """
CREATE OR REPLACE FUNCTION stay_inside(organization uuid, person uuid) RETURNS boolean LANGUAGE plpgsql AS $$
-- To the end of this transaction.
BEGIN
    PERFORM set_config('dataelan.organization', organization::text, true);
    PERFORM set_config('dataelan.person', person::text, true);
    PERFORM set_config('role', {role}, true);
    RETURN true;
END $$
"""
