"""All that an organization has, as a zip: its tables as JSON lines, and the files. Written by a worker, as large
exports of runs are (exporting.py).

What belongs to it is found by the foreign keys: a new table is in the export without a word here. Secrets are not:
keys are sealed for this Dataelan, tokens are hashes, and both would be of no use elsewhere.
"""

from __future__ import annotations

import json
import uuid
import zipfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import IO, Any

from sqlalchemy import ColumnElement, ForeignKey, Table, func, select

from .. import audit
from ..extensions import db
from ..jobs.queue import export_later
from ..models import Asset, Base, Execution, Membership, Organization, RunExport, User, now
from ..models.exports import being_written
from ..storage import Unavailable, storage

FORM = "zip"
CHUNK = 1000
LEFT_OUT = (
    *("deliveries", "notices", "run_exports", "leftovers", "search_", "rollup", "hub_versions"),
    *("template_drafts", "stars", "import"),
)
"""By how they begin: what is made anew from the rest, or is for one person or one moment: also what somebody writes and
has not published, and what they have read in from elsewhere and not chosen yet."""
SECRET = ("ciphertext", "previous_ciphertext", "token_hash", "previous_hash", "secret_hash", "sealed")
BULKY = ("vectors",)
"""Of no use to a reader, and made anew from their texts."""
READ_ME = """{name}, as Dataelan had it at {at}.

One file a table, one row a line, as JSON (UTF-8). Money is in nano-USD: 1000000000 is a dollar. Times are UTC.
people.jsonl names who belongs here. files/ holds the files, by the id of their row in assets.jsonl.
Provider keys, webhook secrets and gateway tokens are left out: make them anew where you go.
"""

Progress = Callable[[int, int], None]
"""Called with how many runs are written, and what they cost."""


def begin(organization: Organization, user: User) -> RunExport:
    """One at a time: while it is written, that one is shown. Commits."""
    mine = being_written(db.session, organization.id, user.id).where(RunExport.form == FORM)
    if writing := db.session.scalars(mine).first():
        return writing
    runs = db.session.scalar(select(func.count()).where(Execution.organization_id == organization.id)) or 0
    export = RunExport(organization_id=organization.id, user_id=user.id, form=FORM, address={}, wanted={})
    export.expected, export.about = runs, f"Everything that {organization.name} has."
    db.session.add(export)
    audit.record("organization.exported", organization, organization.id, runs=runs)
    db.session.commit()
    export_later(export.id, 0)
    return export


def write(file: IO[bytes], organization_id: uuid.UUID, progress: Progress) -> None:
    """`progress` commits, and raises where the export is nobody's any more."""
    organization = db.session.get_one(Organization, organization_id)
    name, slug, runs, cost = organization.name, organization.slug, 0, 0
    counted: dict[str, int] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=5) as packed:
        packed.writestr("README.txt", READ_ME.format(name=name, at=f"{now():%Y-%m-%d %H:%M} UTC"))
        people = list(_people(organization_id))
        packed.writestr("people.jsonl", "".join(map(_line, people)))
        for table, where in owned(organization_id):
            with packed.open(f"{table.name}.jsonl", "w", force_zip64=True) as lines:
                for chunk in _chunks(table, where):
                    lines.write("".join(map(_line, chunk)).encode("utf-8", "replace"))
                    counted[table.name] = counted.get(table.name, 0) + len(chunk)
                    if table is Execution.__table__:
                        runs, cost = runs + len(chunk), cost + sum(row["cost"] or 0 for row in chunk)
                    progress(runs, cost)
        _files(packed, organization_id, lambda: progress(runs, cost))
        about = {"format": "dataelan-organization", "version": 1, "organization": {"name": name, "slug": slug}}
        packed.writestr("manifest.json", json.dumps({**about, "rows": {"people": len(people), **counted}}, indent=1))


def owned(organization_id: uuid.UUID) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Every table that holds something of an organization, and which rows."""
    for table in Base.metadata.sorted_tables:
        if not table.name.startswith(LEFT_OUT) and (way := _way(table)) is not None:
            yield table, way(organization_id)


@cache
def _way(table: Table) -> Callable[[uuid.UUID], ColumnElement[bool]] | None:
    """How the rows of an organization are found: by their own column, or by what they cannot live without."""
    if table.name == "organizations":
        return lambda owner: table.c.id == owner
    if "organization_id" in table.c:
        return lambda owner: table.c.organization_id == owner
    for key in table.foreign_keys:
        above = key.column.table
        if key.ondelete == "CASCADE" and not key.parent.nullable and above is not table and (way := _way(above)):
            return partial(_below, key, way)
    return None


def _below(key: ForeignKey, way: Callable[[uuid.UUID], ColumnElement[bool]], owner: uuid.UUID) -> ColumnElement[bool]:
    return key.parent.in_(select(key.column).where(way(owner)))


def _chunks(table: Table, where: ColumnElement[bool]) -> Iterator[list[dict[str, Any]]]:
    """In the order of their ids, which is that of time; nothing is held between two."""
    columns = [column for column in table.c if column.name not in (*SECRET, *BULKY)]
    last = None
    while True:
        query = select(*columns).where(where).order_by(table.c.id).limit(CHUNK)
        rows = db.session.execute(query.where(table.c.id > last) if last else query).mappings().all()
        if rows:
            yield [dict(row) for row in rows]
        if len(rows) < CHUNK:
            return
        last = rows[-1]["id"]


def _people(organization_id: uuid.UUID) -> Iterator[dict[str, Any]]:
    query = select(User.id, User.name, User.email, Membership.role, Membership.created_at)
    query = query.join(Membership, Membership.user_id == User.id)
    for row in db.session.execute(query.where(Membership.organization_id == organization_id)).mappings():
        yield dict(row)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, default=str, ensure_ascii=False) + "\n"


def _files(packed: zipfile.ZipFile, organization_id: uuid.UUID, still_there: Callable[[], None]) -> None:
    query = select(Asset.id, Asset.name, Asset.storage_key, Asset.size)
    rows = db.session.execute(query.where(Asset.organization_id == organization_id).order_by(Asset.id)).all()
    for id, name, key, size in rows:
        still_there()
        plain = "".join(sign if sign.isalnum() or sign in "._- " else "_" for sign in name)[:100].lstrip(".") or "file"
        try:
            with packed.open(f"files/{id}/{plain}", "w", force_zip64=True) as kept:
                for piece in storage().stream(key, 0, size):
                    kept.write(piece)
        except Unavailable:
            packed.writestr(f"files/{id}/MISSING.txt", "Its bytes were not in storage when this was written.\n")
