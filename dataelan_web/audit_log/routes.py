from __future__ import annotations

from zoneinfo import ZoneInfo

from flask import abort, g, request, url_for
from werkzeug.wrappers import Response

from .. import access, audit
from ..accounts import browsers
from ..extensions import db
from ..organizations.blueprint import inside_organization
from ..web import render
from . import export, filters, lines, naming, words
from .filters import BadFilter, Filters

bp = inside_organization("audit_log", __name__)


@bp.get("/audit")
def show() -> Response:
    access.require(access.ADMINISTER)
    problem, status = "", 200
    try:
        asked = _read()
    except BadFilter as bad:
        asked, problem, status = Filters({}, ()), str(bad), 422
    found = lines.page(g.organization.id, asked)
    return render(
        "audit_log/log.html",
        "log",
        status=status,
        problem=problem,
        filters=asked,
        zone=_zone(),
        events=found.events,
        older_url=found.older and url_for("audit_log.show", **asked.but(after=found.older)),
        people=lines.people(g.organization.id, asked.said.get("person", "")),
        words=words,
        names=naming.of(found.events, _zone()),
        described=browsers.described,
    )


@bp.post("/audit/export")
def export_file() -> Response:
    """The form holds an address of the log, and `form`: csv or jsonl."""
    access.require(access.ADMINISTER)
    form = request.form.get("form", "")
    if form not in export.FORMS:
        abort(422, "The log can be exported as CSV or as JSON lines.")
    try:
        asked = _read()
    except BadFilter as bad:
        abort(422, str(bad))
    audit.record("audit.exported", g.organization, g.organization.id, form=form, **asked.said)
    db.session.commit()
    return export.sent(g.organization.id, asked, form, g.organization.slug)


def _read() -> Filters:
    return filters.read(request.values, _zone())


def _zone() -> ZoneInfo:
    return ZoneInfo(g.organization.time_zone)
