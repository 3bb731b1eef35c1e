from __future__ import annotations

import uuid

from flask import url_for
from werkzeug.wrappers import Response

from ..web import page_number
from . import lists, page
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
        newer_url=url_for("prompts.all_runs", id=id, page=number - 1) if number > 1 else None,
        older_url=url_for("prompts.all_runs", id=id, page=number + 1) if has_more else None,
    )
