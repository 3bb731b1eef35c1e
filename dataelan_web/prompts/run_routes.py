from __future__ import annotations

import uuid

from flask import abort, jsonify, url_for
from werkzeug.wrappers import Response

from ..playground.compare.differences import difference
from ..web import page_number
from . import lists, page, quoting
from .blueprint import bp

PAGE = 50


@bp.get("/prompts/<uuid:id>/runs")
def all_runs(id: uuid.UUID) -> Response:
    """People's and programs', of every version and draft."""
    template, number = page.visible(id), page_number()
    runs, has_more = lists.runs_of(template, number, PAGE)
    return page.show(
        template,
        "runs.html",
        "runs",
        runs=runs,
        record=quoting.record(template),
        newer_url=url_for("prompts.all_runs", id=id, page=number - 1) if number > 1 else None,
        older_url=url_for("prompts.all_runs", id=id, page=number + 1) if has_more else None,
    )


@bp.get("/prompts/<uuid:id>/states")
def states(id: uuid.UUID) -> Response:
    """How one's own last runs of it stand, for a page that nobody looks at: {id: state}."""
    return jsonify({str(run): state.value for run, state in lists.states(page.visible(id))})


@bp.get("/prompts/<uuid:id>/together/<uuid:together>")
def together(id: uuid.UUID, together: uuid.UUID) -> Response:
    """What differs between the answers to a draft and to a version that were asked together."""
    template = page.visible(id)
    runs = lists.asked_together(template, together) or abort(404)
    texts = [run.body.text for run in runs[:2] if not run.is_open and run.body and run.body.text]
    return page.show(
        template, "together.html", "runs", runs=runs, difference=difference(*texts) if len(texts) == 2 else None
    )
