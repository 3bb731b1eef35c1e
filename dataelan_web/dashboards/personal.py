"""All that Dataelan keeps about one person and is theirs, as a zip: who they are, where they belong and were signed in,
what they were told and did. What they made in organizations is those', and is exported there (everything.py).

Rows that cannot live without the person are found by the foreign keys: a new table is in the export without a word
here. Secrets are not: passwords and tokens are hashes, an authenticator's secret is sealed.
"""

from __future__ import annotations

import json
import tempfile
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any

from sqlalchemy import Select, Table, case, func, or_, select

from .. import audit
from ..extensions import db
from ..jobs.queue import export_later
from ..models import (
    AuditEvent,
    Base,
    GatewayToken,
    Membership,
    Notice,
    Organization,
    Project,
    PromptSession,
    RunExport,
    User,
    now,
)
from ..models.exports import being_written
from .everything import SECRET

FORM = "account"
AT_ONCE, CHUNK = 10_000, 1000
"""Rows up to which it is sent as it is asked for; rows that are read together."""
HIDDEN = (*SECRET, "password_hash", "session_key", "code_hash", "public_key", "credential_id", "storage_key")
LEFT_OUT = ("memberships",)
"""Told in other words."""
READ_ME = """What Dataelan keeps about {name}, as it was at {at}.

One file a kind of thing, one thing a line, as JSON (UTF-8). Times are UTC.
profile.json is the account; memberships.jsonl where it belongs; sign_ins.jsonl the browsers it is signed in with;
sessions.jsonl and tokens.jsonl what it made, by name; audit_events.jsonl what it did; notices.jsonl what it was told.
What you wrote in an organization's sessions is that organization's, and in its own export. Secrets are left out.
"""

Rows = Callable[[Any], Select[*tuple[Any, ...]]]
"""Given the last id that was read, or None: the rows that follow it, in the order of their ids."""


def size(user: User) -> int:
    """Rows, of the kinds that can be many."""
    counted = (
        (Notice, Notice.user_id),
        (AuditEvent, AuditEvent.actor_id),
        (PromptSession, PromptSession.created_by),
    )
    return sum(
        db.session.scalar(select(func.count()).select_from(model).where(owner == user.id)) or 0
        for model, owner in counted
    )


def written_at_once(user: User) -> IO[bytes]:
    """Commits."""
    audit.record("account.exported", user)
    db.session.commit()
    file = tempfile.TemporaryFile()  # noqa: SIM115  (whoever sends it closes it)
    write(file, user.id, lambda rows, cost: None)
    file.seek(0)
    return file


def begin(organization: Organization, user: User, rows: int) -> RunExport:
    """By a worker; one at a time: while it is written, that one is shown. Commits."""
    mine = being_written(db.session, organization.id, user.id).where(RunExport.form == FORM)
    if writing := db.session.scalars(mine).first():
        return writing
    export = RunExport(organization_id=organization.id, user_id=user.id, form=FORM, address={}, wanted={})
    export.expected, export.about = rows, "All that Dataelan keeps about you."
    db.session.add(export)
    audit.record("account.exported", user)
    db.session.commit()
    export_later(export.id, 0)
    return export


def write(file: IO[bytes], user_id: uuid.UUID, progress: Callable[[int, int], None]) -> None:
    """`progress` is told how many rows are written, as exports of runs are, and may commit."""
    user = db.session.get_one(User, user_id)
    profile = {column.name: getattr(user, column.name) for column in User.__table__.c if column.name not in HIDDEN}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=5) as packed:
        packed.writestr("README.txt", READ_ME.format(name=user.name, at=f"{now():%Y-%m-%d %H:%M} UTC"))
        packed.writestr("profile.json", _line(profile))
        written = 0
        for name, rows in _kinds(user_id):
            with packed.open(f"{name}.jsonl", "w", force_zip64=True) as lines:
                for chunk in _chunks(rows):
                    lines.write("".join(map(_line, chunk)).encode("utf-8", "replace"))
                    written += len(chunk)
                    progress(written, 0)


def own_tables() -> Iterator[tuple[Table, Any]]:
    """(a table whose rows cannot live without a person, the column that names them)"""
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            if key.column.table is User.__table__ and key.ondelete == "CASCADE" and table.name not in LEFT_OUT:
                yield table, key.parent


def _kinds(user_id: uuid.UUID) -> Iterator[tuple[str, Rows]]:
    yield "memberships", _after(_memberships(user_id), Membership.id)
    yield "sessions", _after(_sessions(user_id), PromptSession.id)
    yield "tokens", _after(_tokens(user_id), GatewayToken.id)
    yield "audit_events", _after(_audit(user_id), AuditEvent.id)
    for table, owner in own_tables():
        columns = [column for column in table.c if column.name not in HIDDEN]
        yield table.name, _after(select(*columns).where(owner == user_id), table.c.id)


def _memberships(user_id: uuid.UUID) -> Select[*tuple[Any, ...]]:
    query = select(Membership.id, Organization.name.label("organization"), Organization.slug, Membership.role)
    return query.add_columns(Membership.created_at).join(Organization).where(Membership.user_id == user_id)


def _sessions(user_id: uuid.UUID) -> Select[*tuple[Any, ...]]:
    """By name, where they still belong: what others called them since is no matter of who has left."""
    query = select(PromptSession.id, PromptSession.title, Project.name.label("project"), PromptSession.created_at)
    query = query.join(Project, Project.id == PromptSession.project_id)
    return query.where(PromptSession.created_by == user_id, _belongs(Project.organization_id, user_id))


def _tokens(user_id: uuid.UUID) -> Select[*tuple[Any, ...]]:
    query = select(GatewayToken.id, GatewayToken.label, Project.name.label("project"), GatewayToken.created_at)
    query = query.add_columns(GatewayToken.expires_at, GatewayToken.revoked_at, GatewayToken.last_used_at)
    own = GatewayToken.created_by == user_id, GatewayToken.service_account_id.is_(None)
    return query.join(Project, Project.id == GatewayToken.project_id).where(*own)


def _audit(user_id: uuid.UUID) -> Select[*tuple[Any, ...]]:
    """What they did, and when and from where; the values only where they still belong."""
    told = case((_belongs(AuditEvent.organization_id, user_id), AuditEvent.detail))
    columns = [column for column in AuditEvent.__table__.c if column.name != "detail"]
    return select(*columns, told.label("detail")).where(AuditEvent.actor_id == user_id)


def _belongs(organization_id: Any, user_id: uuid.UUID) -> Any:
    mine = select(Membership.organization_id).where(Membership.user_id == user_id)
    return or_(organization_id.is_(None), organization_id.in_(mine))


def _after(query: Select[*tuple[Any, ...]], id: Any) -> Rows:
    def rows(last: uuid.UUID | None) -> Select[*tuple[Any, ...]]:
        ordered = query.order_by(id).limit(CHUNK)
        return ordered.where(id > last) if last else ordered

    return rows


def _chunks(rows: Rows) -> Iterator[list[dict[str, Any]]]:
    last = None
    while found := db.session.execute(rows(last)).mappings().all():
        yield [dict(row) for row in found]
        if len(found) < CHUNK:
            return
        last = found[-1]["id"]


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, default=str, ensure_ascii=False) + "\n"
