"""The page of a week or month: `/o/<slug>/summaries/2026-W48`, or `/2026-11`."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from flask import abort, g, request, url_for
from sqlalchemy.exc import OperationalError
from werkzeug.wrappers import Response

from .. import sums_seen
from ..dashboards import controls
from ..models import now
from ..organizations.blueprint import inside_organization
from ..web import redirect, render
from . import content, periods
from .periods import Kind

bp = inside_organization("summaries", __name__)


@bp.get("/summaries")
def latest() -> Response:
    """The last one that is over. `kind`: week or month."""
    kind = Kind.MONTH if request.args.get("kind") == Kind.MONTH else Kind.WEEK
    period = periods.latest(kind, now(), ZoneInfo(g.organization.time_zone))
    return redirect(url_for("summaries.show", address=period.address))


@bp.get("/summaries/<address>")
def show(address: str) -> Response:
    period, at = periods.read(address, ZoneInfo(g.organization.time_zone)), now()
    if period is None or period.span.start > at:
        abort(404)
    summary, status = None, 200
    try:
        summary = content.summary(g.organization, period, sums_seen.sums_seen(), at)
    except OperationalError as error:
        controls.give_up(error)
        status = 503
    around = {"before": period.before, "after": period.after if period.after.span.start <= at else None}
    other = Kind.WEEK if period.kind is Kind.MONTH else Kind.MONTH
    beside = {period.kind: period, other: periods.containing(other, min(period.last, at.date()), period.zone)}
    return render(
        "summaries/summary.html", "summary", status, period=period, summary=summary, kinds=beside,
        problem=controls.TOO_LONG, **around,
    )  # fmt: skip
