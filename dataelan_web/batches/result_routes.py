"""What a batch has come to: its table, one answer, and files."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, jsonify, request, stream_with_context, url_for
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from ..extensions import db
from ..limits import refusals
from ..models import Batch, BatchState, Execution
from ..playground import sending
from ..web import page_number
from . import export, page, results
from .blueprint import bp
from .draft_routes import show_setup
from .forms import CheckForm


@bp.get("/batches/<uuid:id>")
def show(id: uuid.UUID) -> Response:
    """`show`: a filter of results.FILTERS. While it runs the page asks for its block `results` again and again."""
    batch = page.visible(id)
    if batch.state is BatchState.DRAFT:
        return show_setup(batch)
    return show_results(batch)


@bp.get("/batches/<uuid:id>/states")
def states(id: uuid.UUID) -> Response:
    """How it stands, for whoever began it and is elsewhere by now (static/watch.js): {id: state}."""
    return jsonify({str(id): page.visible(id).state.value})


@bp.get("/batches/<uuid:id>/answers/<int(max=99999):position>/<int(max=9):model>")
def answer(id: uuid.UUID, position: int, model: int) -> Response:
    """One answer beside what was asked and expected, to be scored by keyboard."""
    batch = page.visible(id)
    return show_answer(batch, position, model)


@bp.get("/batches/<uuid:id>/results.csv")
def results_csv(id: uuid.UUID) -> Response:
    batch = page.visible(id)
    only_failed = request.args.get("show") == "failed"
    return _csv(batch, export.results(batch, only_failed=only_failed), "failed" if only_failed else "results")


@bp.get("/batches/<uuid:id>/failed-rows.csv")
def failed_rows_csv(id: uuid.UUID) -> Response:
    batch = page.visible(id)
    return _csv(batch, export.failed_rows(batch), "failed rows")


def show_results(batch: Batch, status: int = 200, **more: Any) -> FlaskResponse:
    shown, number = request.args.get("show", ""), page_number()
    shown = shown if shown in results.FILTERS else ""
    lines, has_more = results.lines(batch, shown, number)
    everything, models = results.sums(batch)
    more.setdefault("check_form", CheckForm(formdata=None))
    return page.show(
        batch.project,
        "results.html",
        "results",
        status,
        batch,
        lines=lines,
        all=everything,
        models=models,
        spent=results.spent(batch),
        shown=shown,
        filters=results.FILTERS,
        refused=_refused(batch),
        here=_address(batch, shown, number),
        newer_url=_address(batch, shown, number - 1) if number > 1 else None,
        older_url=_address(batch, shown, number + 1) if has_more else None,
        model_options=page.models_for(batch) if not request.htmx else None,  # type: ignore[attr-defined]
        **more,
    )


def _address(batch: Batch, shown: str, number: int) -> str:
    return url_for("batches.show", id=batch.id, show=shown or None, page=number if number > 1 else None)


def show_answer(batch: Batch, position: int, model: int, status: int = 200, problem: str = "") -> FlaskResponse:
    found = results.cell_at(batch, position, model) or abort(404)
    shown = request.values.get("show", "")
    before, after = results.neighbours(batch, found.cell, shown)
    return page.show(
        batch.project,
        "answer.html",
        None,
        status,
        batch,
        found=found,
        row=found.cell.row,
        shown=shown if shown in results.FILTERS else "",
        before_url=before and results.address(batch, before, shown),
        after_url=after and results.address(batch, after, shown),
        problem=problem,
    )


def _refused(batch: Batch) -> Execution | None:
    """The last run that a limit stopped, with what can be done about it, while the batch waits for that."""
    if not batch.refused_by or batch.state is not BatchState.PAUSED:
        return None
    query = select(Execution).where(Execution.batch_id == batch.id, Execution.refused_by == batch.refused_by)
    run = db.session.scalars(query.order_by(Execution.id.desc()).limit(1).options(joinedload(Execution.body))).first()
    refusals.tell([run] if run else [])
    return run


def _csv(batch: Batch, written: Iterator[str], what: str) -> Response:
    """To be saved, never shown: what is in it was written by people and models."""
    response = FlaskResponse(
        stream_with_context(line.encode("utf-8", "replace") for line in written), content_type="text/csv; charset=utf-8"
    )
    stem = re.sub(r'[\\/:*?"<>|]+', "-", batch.name)[:100].strip(" .-") or "batch"
    sending.name_it(response, f"{stem} {what}.csv", "attachment")
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response
