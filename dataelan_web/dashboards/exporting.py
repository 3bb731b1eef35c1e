"""Large exports: a worker writes them, chunk by chunk, into a file that goes into storage when it is whole.

The row is the truth and the queue a wake-up call, as for prompts: a worker claims an export with a lease and a fence,
tells after each chunk how far it is, and stops where the row is no longer its own (cancelled, or taken over). What died
with a worker is begun anew, a few times.
"""

from __future__ import annotations

import gzip
import io
import logging
import tempfile
import threading
import uuid
from datetime import datetime, timedelta
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from flask import g
from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from ..extensions import db
from ..jobs import queue
from ..models import ExportState, Leftover, Organization, RunExport, new_id, now
from ..models.exports import KEPT, UNFINISHED
from ..notify import tell
from ..storage import storage
from ..sums_seen import SumsSeen
from . import everything, personal, records
from .runs import Only, Wanted
from .sums import Asked

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger(__name__)

AT_ONCE = 10_000
"""Runs up to which a file is sent as it is written; more are written by a worker."""
LEASE = timedelta(seconds=60)
SLOWEST = 1_000_000
"""Bytes a second that a storage takes at least: while a file goes there, nobody says that it does."""
GIVES_UP_AFTER = "45s"
"""Longer than a page waits for a query, and shorter than the lease."""
MOST_TRIES = 3
LOOKS_EVERY = 10.0
"""Seconds between two looks for exports that nobody writes, and for files whose time is over."""
KIND = "export.ended"
WHOLE = {everything.FORM: "everything", personal.FORM: "your data"}
"""What is exported as a zip, and how it is called."""


class NotOurs(Exception):
    """It was cancelled, or another worker has it."""


def write(id: uuid.UUID) -> None:
    """The whole export, if nobody else is at it. Commits."""
    fence = _claim(id)
    if fence is None:
        return
    export = db.session.get_one(RunExport, id, populate_existing=True)
    try:
        with tempfile.TemporaryFile() as file:
            _fill(file, export, fence)
            to_keep = LEASE + timedelta(seconds=file.seek(0, io.SEEK_END) / SLOWEST)
            _tell(id, fence, lease_until=func.now() + to_keep)
            kept = storage().put_file(export.organization_id, file)
        _end(export, fence, ExportState.DONE, storage_key=kept.key, size=kept.size, expires_at=now() + KEPT)
    except NotOurs:
        db.session.rollback()
    except Exception:  # its person is told; what it was is in the log
        log.exception("export %s could not be written", id)
        db.session.rollback()
        _end(export, fence, ExportState.FAILED)


def _fill(file: IO[bytes], export: RunExport, fence: int) -> None:
    if export.form == everything.FORM:
        return everything.write(file, export.organization_id, partial(_progress, export.id, fence))
    if export.form == personal.FORM:
        return personal.write(file, export.user_id, partial(_progress, export.id, fence))
    form, wanted = export.form, wanted_of(export.wanted)
    id, written, cost = export.id, 0, 0
    g.gives_up_after = GIVES_UP_AFTER
    said = records.line(form)
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=5, mtime=0) as packed:
        packed.write(records.first_line(form).encode())
        for chunk in records.chunks(wanted):
            db.session.rollback()  # nothing is held while it is written
            packed.write("".join(said(record) for record, _ in chunk).encode("utf-8", "replace"))
            written, cost = written + len(chunk), cost + sum(nano for _, nano in chunk)
            _progress(id, fence, written, cost)


def _claim(id: uuid.UUID) -> int | None:
    free = or_(RunExport.state == ExportState.QUEUED, RunExport.lease_until < func.now())
    claimed: int | None = db.session.scalar(
        _update(id)
        .where(free, RunExport.state.in_(UNFINISHED))
        .values(
            state=ExportState.RUNNING,
            fence=RunExport.fence + 1,
            lease_until=func.now() + LEASE,
            written=0,
            cost=0,
        )
        .returning(RunExport.fence)
    )
    db.session.commit()
    return claimed


def _progress(id: uuid.UUID, fence: int, written: int, cost: int) -> None:
    """Raises NotOurs."""
    _tell(id, fence, written=written, cost=cost, lease_until=func.now() + LEASE)


def _tell(id: uuid.UUID, fence: int, **values: Any) -> None:
    """Raises NotOurs."""
    ours = _update(id).where(RunExport.fence == fence, RunExport.state == ExportState.RUNNING)
    if db.session.scalar(ours.values(**values).returning(RunExport.id)) is None:
        raise NotOurs
    db.session.commit()


def _end(export: RunExport, fence: int, state: ExportState, **values: Any) -> None:
    """And its person is told. A file that nobody names any more is found by `unused_files`."""
    ours = _update(export.id).where(RunExport.fence == fence, RunExport.state == ExportState.RUNNING)
    final = {"state": state, "ended_at": func.now(), "lease_until": None, **values}
    if db.session.scalar(ours.values(**final).returning(RunExport.id)) is None:
        db.session.rollback()
        return
    db.session.refresh(export)
    slug = db.session.get_one(Organization, export.organization_id).slug
    is_done = state is ExportState.DONE
    of = WHOLE.get(export.form) or (f"{export.written:,} runs" if is_done else "runs")
    title = f"Your export of {of} is ready" if is_done else f"Your export of {of} failed"
    until = f" The file is kept until {export.expires_at:%-d %B %H:%M} UTC." if export.expires_at else ""
    path = f"/o/{slug}/dashboard/runs/exports/{export.id}"
    body = f"{export.about}{until}" if is_done else f"{export.about} Try it again."
    key = f"{KIND}:{export.id}:{export.ended_at}"  # one that failed may be written anew, and end once more
    tell(db.session, export.organization_id, [export.user_id], key, KIND, title, body, path)
    db.session.commit()


def cancel(export: RunExport) -> bool:
    """The worker sees it after its chunk. The caller commits."""
    cancelled = _update(export.id).where(RunExport.state.in_(UNFINISHED))
    values = {"state": ExportState.CANCELLED, "ended_at": func.now(), "lease_until": None}
    return db.session.scalar(cancelled.values(**values).returning(RunExport.id)) is not None


def _update(id: uuid.UUID) -> Any:
    return update(RunExport).where(RunExport.id == id).execution_options(synchronize_session=False)


# -- what a worker looks after ---------------------------------------------------------------------


def look_after(at: datetime | None = None) -> None:
    """Wake somebody for what nobody writes; take away files whose time is over. Commits."""
    at = at or now()
    _expire(at)
    lost = or_(RunExport.lease_until < at, RunExport.lease_until.is_(None) & (RunExport.created_at < at - LEASE / 4))
    rows = db.session.execute(select(RunExport.id, RunExport.fence).where(RunExport.state.in_(UNFINISHED), lost)).all()
    for id, fence in rows:
        if fence >= MOST_TRIES:
            _end(db.session.get_one(RunExport, id), fence, ExportState.FAILED)
        else:
            queue.export_later(id, fence)
    db.session.rollback()


def _expire(at: datetime) -> None:
    over = select(RunExport).where(RunExport.state == ExportState.DONE, RunExport.expires_at < at)
    for export in db.session.scalars(over.with_for_update(skip_locked=True)).all():
        key, export.state, export.storage_key = export.storage_key, ExportState.EXPIRED, ""
        row = {"id": new_id(), "created_at": now(), "storage_key": key}
        db.session.execute(insert(Leftover).values(row).on_conflict_do_nothing())
    db.session.commit()


def look_after_forever(app: Flask, stopping: threading.Event) -> None:
    while not stopping.wait(LOOKS_EVERY):
        try:
            with app.app_context():
                look_after()
        except Exception:  # this thread must not end: exports would stand still
            log.exception("exports could not be looked after; it is tried again")


# -- what is wanted, as JSON -----------------------------------------------------------------------


def as_json(wanted: Wanted) -> dict[str, Any]:
    asked, only = wanted.asked, wanted.only
    return {
        "organization": str(asked.organization_id),
        "everyone": asked.seen.everyone,
        "projects": [str(id) for id in asked.seen.projects],
        "user": str(asked.seen.user_id),
        "filters": {n: str(v) if isinstance(v, uuid.UUID) else v for n, v in asked.filters.items()},
        "start": wanted.start.isoformat(),
        "end": wanted.end.isoformat(),
        "as_of": wanted.as_of and wanted.as_of.isoformat(),
        "only": {**vars(only), "rule": only.rule and str(only.rule)},
    }


def wanted_of(said: dict[str, Any]) -> Wanted:
    seen = SumsSeen(said["everyone"], tuple(map(uuid.UUID, said["projects"])), uuid.UUID(said["user"]))
    filters = {name: _value(name, value) for name, value in said["filters"].items()}
    rule = said["only"]["rule"]
    return Wanted(
        Asked(uuid.UUID(said["organization"]), seen, filters),
        datetime.fromisoformat(said["start"]),
        datetime.fromisoformat(said["end"]),
        Only(**{**said["only"], "rule": rule and uuid.UUID(rule)}),
        datetime.fromisoformat(said["as_of"]) if said["as_of"] else None,
    )


def _value(name: str, value: Any) -> Any:
    if name.endswith("_id"):
        return uuid.UUID(value)
    return tuple(value) if isinstance(value, list) else value
