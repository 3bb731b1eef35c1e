from __future__ import annotations

import uuid
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from flask import abort, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response

from .. import audit, modes
from ..accounts import browsers
from ..audit_log import export, filters, lines, words
from ..audit_log.filters import BadFilter, Filters
from ..extensions import db
from ..models import Mode, Organization
from ..web import redirect, render, toast
from . import modes as setting
from . import platform
from .blueprint import bp
from .forms import ModeForm

UTC = ZoneInfo("UTC")


@bp.get("/platform")
def show_platform() -> Response:
    """Providers of everybody, and the platform's keys; each provider's page is the hub's."""
    lines = platform.providers()
    return render(
        "admin/platform.html",
        lines=[line for line in lines if line.is_used],
        waiting=[line.provider for line in lines if line.may_have_keys and not line.is_used],
    )


@bp.get("/settings")
def show_settings() -> Response:
    row = modes.row()
    return _settings(ModeForm(formdata=None, data={"mode": row.mode.value, "words": row.words}))


@bp.post("/settings/mode")
def set_mode() -> Response:
    form = ModeForm()
    if not form.validate_on_submit():
        return _settings(form, 422)
    mode = Mode(form.mode.data)
    setting.set_to(mode, form.words.data or "", current_user)
    toast("Dataelan is open to everybody." if mode is Mode.OPEN else f"{setting.TITLES[mode]}.", "good")
    return redirect(url_for("admin.show_settings"))


@bp.get("/audit")
def show_audit() -> Response:
    """Of all organizations, and what belongs to none."""
    problem, status = "", 200
    try:
        asked = filters.read(request.args, UTC)
    except BadFilter as bad:
        asked, problem, status = Filters({}, ()), str(bad), 422
    found = lines.page(None, asked)
    return render(
        "admin/audit.html",
        "log",
        status=status,
        problem=problem,
        filters=asked,
        zone=UTC,
        events=found.events,
        older_url=found.older and url_for("admin.show_audit", **asked.but(after=found.older)),
        homes=_names(event.organization_id for event in found.events),
        words=words,
        names={},  # of what people of an organization wrote, and of their limits: theirs to read
        described=browsers.described,
    )


@bp.post("/audit/export")
def export_audit() -> Response:
    form = request.form.get("form", "")
    try:
        asked = filters.read(request.form, UTC)
    except BadFilter as bad:
        abort(422, str(bad))
    if form not in export.FORMS:
        abort(422, "The log can be exported as CSV or as JSON lines.")
    audit.record("audit.exported", current_user, None, form=form, **asked.said)
    db.session.commit()
    return export.sent(None, asked, form, "dataelan")


def _names(ids: Iterable[uuid.UUID | None]) -> dict[uuid.UUID, str]:
    wanted = {id for id in ids if id}
    rows = db.session.execute(select(Organization.id, Organization.name).where(Organization.id.in_(wanted)))
    return {row[0]: row[1] for row in rows} if wanted else {}


def _settings(form: ModeForm, status: int = 200) -> Response:
    return render("admin/settings.html", "mode", status=status, form=form, groups=platform.settings())
