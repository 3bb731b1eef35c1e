"""The pages of the dashboard, and the CSV of each of their panels: `/o/<slug>/dashboard/…`."""

from __future__ import annotations

from flask import Response, abort, g, request
from sqlalchemy.exc import OperationalError
from werkzeug.wrappers import Response as AnyResponse

from .. import currencies
from ..organizations.blueprint import inside_organization
from ..web import redirect, render
from . import controls, heat, noting, overview, performance, quotas, ranges, routing, saved, spend, view_forms, waits
from . import filters as reading
from .filters import BadFilter, Filters

bp = inside_organization("dashboards", __name__)

PAGES = {
    "overview": overview.page,
    "spend": spend.page,
    "performance": performance.page,
    "quota": quotas.page,
    "routing": routing.page,
    "mine": spend.mine,
}
LATER = {"heat": heat.panel, "waits": waits.panel}
"""Panels of the page of performance that come after it (part_routes)."""


@bp.get("/dashboard", defaults={"page": "overview"})
@bp.get("/dashboard/<page>")
def show(page: str) -> AnyResponse:
    filters, problem, status = _filters(page)
    views = saved.seen()
    if page == "overview" and not request.args and (first := next((v for v in views if v.is_default), None)):
        return redirect(saved.url_of(first))
    try:
        shown = PAGES[page](filters) if not problem else {"panels": []}
        shown |= noting.beneath(page, filters.range, shown["panels"], shown.pop("priced", ()))
        choices = controls.choices(filters)
    except OperationalError as error:
        controls.give_up(error)
        shown, choices, problem, status = {"panels": []}, {}, controls.TOO_LONG, 503
    return render(
        "dashboards/dashboard.html", "dashboard", status, page=page, filters=filters, problem=problem,
        pages=controls.TABS, choices=choices, presets=ranges.presets(), chips=controls.chips(filters, choices),
        **view_forms.offered(views, page, filters.address), **shown,
    )  # fmt: skip


@bp.get("/dashboard/<page>/<panel>.csv")
def panel_csv(page: str, panel: str) -> AnyResponse:
    filters, problem, _ = _filters(page)
    if problem:
        abort(422, problem)
    later = LATER.get(panel) if page == performance.PAGE else None
    with currencies.shown_as(currencies.DOLLARS):
        panels = [later(filters)] if later else PAGES[page](filters)["panels"]
    found = next((one for one in panels if one.id == panel), None)
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
