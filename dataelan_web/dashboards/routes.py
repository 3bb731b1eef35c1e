"""The pages of the dashboard, and the CSV of each of their panels: `/o/<slug>/dashboard/…`."""

from __future__ import annotations

from typing import Any

from flask import Response, abort, g, request
from sqlalchemy.exc import OperationalError
from werkzeug.wrappers import Response as AnyResponse

from .. import formats
from ..extensions import db
from ..organizations.blueprint import inside_organization
from ..web import render
from . import filters as reading
from . import overview, performance, ranges, spend, sums
from .filters import BY_WORD, BadFilter, Filters
from .names import called, names_of

bp = inside_organization("dashboards", __name__)

PAGES = {
    "overview": ("Overview", overview.page),
    "spend": ("Spend", spend.page),
    "performance": ("Performance", performance.page),
    "mine": ("Mine", spend.mine),
}
TOO_LONG = "This took too long and was given up. Choose a shorter time, or a filter."
CANCELLED = "57014"
"""PostgreSQL's word for a statement that took longer than it may."""


@bp.get("/dashboard", defaults={"page": "overview"})
@bp.get("/dashboard/<page>")
def show(page: str) -> AnyResponse:
    filters, problem, status = _filters(page)
    try:
        shown = PAGES[page][1](filters) if not problem else {"panels": []}
        choices = _choices(filters)
    except OperationalError as error:
        if getattr(error.orig, "pgcode", "") != CANCELLED:
            raise
        db.session.rollback()
        shown, choices, problem, status = {"panels": []}, {}, TOO_LONG, 503
    return render(
        "dashboards/dashboard.html", "dashboard", status, page=page, filters=filters, problem=problem,
        pages=[(key, label) for key, (label, _) in PAGES.items()], choices=choices,
        presets=[(key, label) for key, (label, _) in ranges.PRESETS.items()], chips=_chips(filters, choices), **shown,
    )  # fmt: skip


@bp.get("/dashboard/<page>/<panel>.csv")
def panel_csv(page: str, panel: str) -> AnyResponse:
    filters, problem, _ = _filters(page)
    if problem:
        abort(422, problem)
    found = next((one for one in PAGES[page][1](filters)["panels"] if one.id == panel), None)
    if found is None:
        abort(404)
    name = f"{g.organization.slug}-{page}-{panel}-{filters.range.start:%Y%m%d}-{filters.range.end:%Y%m%d}.csv"
    answer = Response(found.csv, mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'})
    answer.headers["Content-Security-Policy"] = "sandbox"
    return answer


def _filters(page: str) -> tuple[Filters, str, int]:
    """(what was asked for, what is wrong with it, status)"""
    if page not in PAGES:
        abort(404)
    try:
        return reading.read(request.args, mine=page == "mine"), "", 200
    except BadFilter as bad:
        return reading.nothing(mine=page == "mine"), str(bad), 422


def _choices(filters: Filters) -> dict[str, list[tuple[str, str]]]:
    """Filter → [(value, name)], by name."""
    known = sums.known(filters.asked.organization_id, filters.asked.seen)
    names = names_of(id for ids in known.values() for id in ids)
    found = {
        name: sorted(((str(id), names[id]) for id in known[dimension] if id in names), key=lambda pair: pair[1].lower())
        for name, dimension in reading.BY_ID.items()
    }
    words = {name: [(v, called(dimension, v, {})) for v in values] for name, (dimension, values) in BY_WORD.items()}
    return found | words


def _chips(filters: Filters, choices: dict[str, list[tuple[str, str]]]) -> list[dict[str, Any]]:
    """What is filtered by, each with the address without it."""
    return [
        {"name": name, "said": dict(choices.get(name, [])).get(value, formats.DASH), "without": filters.without(name)}
        for name, value in filters.said.items()
    ]
