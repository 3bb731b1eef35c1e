"""Runs as a file: at once where they are few, by a worker where they are many."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from flask import Response as FlaskResponse
from flask import abort, g, request, stream_with_context, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access, audit
from ..extensions import db
from ..jobs.queue import export_later
from ..models import RunExport, now
from ..models.exports import being_written
from ..once import done_once
from ..playground import sending
from ..storage import Unavailable, storage
from ..sums_seen import sums_seen
from ..web import redirect, render, toast
from . import controls, exporting, personal, records, sums
from . import view as viewing
from .filters import BadFilter
from .routes import bp
from .runs import Wanted, until
from .view import View

AT_ONCE = exporting.AT_ONCE


@bp.post("/dashboard/runs/export")
@done_once()
def export_runs() -> Response:
    """The form holds an address of the explorer, and `form`: csv or jsonl."""
    form = request.form.get("form", "")
    if form not in records.FORMS:
        abort(422, "Runs can be exported as CSV or as JSON lines.")
    try:
        view = viewing.read(request.form)
    except BadFilter as bad:
        abort(422, str(bad))
    count = sums.totals(view.filters.asked, (view.filters.range.span,)).runs
    wanted = until(view.wanted, now())
    audit.record("runs.exported", g.organization, g.organization.id, form=form, runs=count, address=view.address)
    if count <= AT_ONCE:
        db.session.commit()
        return _streamed(wanted, form)
    return redirect(url_for("dashboards.show_export", id=_begin(view, wanted, form, count).id))


@bp.get("/dashboard/runs/exports/<uuid:id>")
def show_export(id: uuid.UUID) -> Response:
    export = _seen(id)
    return render("dashboards/export.html", "export", export=export, page="runs", pages=controls.TABS)


@bp.get("/dashboard/runs/exports/<uuid:id>/file")
def export_file(id: uuid.UUID) -> Response:
    """As it lies there, packed; a browser unpacks it while it saves it."""
    export = _seen(id)
    if not export.storage_key:
        abort(404, "This file is not there any more. Export the runs anew.")
    try:
        response = FlaskResponse(storage().stream(export.storage_key, 0, export.size))
    except Unavailable as problem:
        abort(503, str(problem))
    response.headers["Content-Length"] = str(export.size)
    if export.form in exporting.WHOLE:
        return _named(response, "zip", export.form)
    if request.accept_encodings["gzip"]:
        response.headers["Content-Encoding"] = "gzip"
        return _named(response, export.form, export.form)
    return _named(response, f"{export.form}.gz", "gz")


@bp.post("/dashboard/runs/exports/<uuid:id>/cancellation")
def cancel_export(id: uuid.UUID) -> Response:
    export = access.visible(RunExport, id)
    if exporting.cancel(export):
        audit.record("export.cancelled", export)
    db.session.commit()
    db.session.refresh(export)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(url_for("dashboards.show_export", id=id))
    return render("dashboards/export.html", "export", export=export, page="runs", pages=controls.TABS)


def _seen(id: uuid.UUID) -> RunExport:
    """One's own; 403 where it holds what one may see no more: its file lies there for days."""
    export = access.visible(RunExport, id)
    return export if _holds_no_more_than_i_see(export) else abort(403)


def _holds_no_more_than_i_see(export: RunExport) -> bool:
    if export.form in exporting.WHOLE:
        return export.form == personal.FORM or access.may(access.OWN)
    said, seen = export.wanted, sums_seen()
    if seen.everyone:
        return True
    return not said.get("everyone", True) and set(said["projects"]) <= {str(id) for id in seen.projects}


def _streamed(wanted: Wanted, form: str) -> Response:
    return _named(FlaskResponse(stream_with_context(_written(wanted, form))), form, form)


def _written(wanted: Wanted, form: str) -> Iterator[bytes]:
    said = records.line(form)
    yield records.first_line(form).encode()
    for chunk in records.chunks(wanted):
        db.session.rollback()  # no connection is held while somebody's line is slow
        yield "".join(said(record) for record, _ in chunk).encode("utf-8", "replace")


def _named(response: FlaskResponse, ending: str, form: str) -> Response:
    """To be saved, never shown: names in it were written by people."""
    is_zip = form in exporting.WHOLE
    kind = "application/zip" if is_zip else f"{records.FORMS.get(form, 'application/gzip')}; charset=utf-8"
    response.headers["Content-Type"] = kind
    what = exporting.WHOLE.get(form, "runs")
    sending.name_it(response, f"{g.organization.slug} {what} {now():%Y-%m-%d}.{ending}", "attachment")
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response


def _begin(view: View, wanted: Wanted, form: str, count: int) -> RunExport:
    """One at a time for each person: while it is written, that one is shown."""
    if running := db.session.scalars(being_written(db.session, g.organization.id, current_user.id)).first():
        db.session.rollback()
        toast("An export of yours is being written. Another can begin when it is done, or stopped.", "warn")
        return running
    narrowed = ", ".join(chip["said"] for chip in controls.chips(view.filters, controls.choices(view.filters)))
    export = RunExport(
        organization_id=g.organization.id,
        user_id=current_user.id,
        form=form,
        address=view.address,
        wanted=exporting.as_json(wanted),
        about=f"Runs of {view.filters.range.label[:1].lower()}{view.filters.range.label[1:]}"
        + (f": {narrowed}." if narrowed else "."),
        expected=count,
    )
    db.session.add(export)
    db.session.commit()
    export_later(export.id, 0)
    return export
