"""Pages of providers and servers."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import g, url_for
from flask_login import current_user
from sqlalchemy import func, or_, select
from werkzeug.wrappers import Response

from .. import access
from ..extensions import db
from ..models import APIKey, Model, PromptSession, Provider
from ..playground.connect import prefer
from ..router.types import Failure
from ..web import redirect, render, toast
from . import servers
from .blueprint import bp, id_in
from .forms import ServerForm


@bp.get("/hub/providers")
def providers() -> Response:
    access.require(access.SEE)  # a guest of one project is told nothing of the organization's servers and keys
    return hub_page()


@bp.post("/hub/servers")
def connect_server() -> Response:
    """From the hub, or from a newcomer's session (which then continues with the server's models)."""
    access.require(access.ADMINISTER)
    form = ServerForm()
    session = access.editable(PromptSession, id_in(form.session_id.data)) if form.session_id.data else None
    if not form.validate_on_submit():
        return hub_page(422, server_form=form)
    name, base_url = str(form.name.data), str(form.base_url.data)
    try:
        provider = servers.connect(g.organization, current_user, name, base_url, form.key.data or "")
    except (servers.AddressRefused, Failure) as refused:
        form.base_url.errors = [str(refused)]
        return hub_page(422, server_form=form)
    toast(f"{provider.name} is connected.", "good")
    if session is None:
        return redirect(url_for("hub.providers"))
    prefer(session, provider, db.session.scalars(select(Model.name).where(Model.provider_id == provider.id)).all())
    return redirect(url_for("playground.show", id=session.id))


def hub_page(status: int = 200, **context: Any) -> FlaskResponse:
    connected, others = _providers()
    page: dict[str, Any] = {
        "connected": connected,
        "others": others,
        "found": servers.found_locally(g.organization),
        "server_form": ServerForm(formdata=None),
        "can_edit": access.may(access.ADMINISTER),
    }
    return render("hub/providers.html", "hub", status=status, **(page | context))


def _providers() -> tuple[list[Provider], list[Provider]]:
    """(with a key or needing none, the rest); each with its `keys` and `models_count`."""
    rows = db.session.scalars(access.scoped(Provider).order_by(Provider.name)).all()
    own: dict[uuid.UUID, list[APIKey]] = {}
    for key in db.session.scalars(access.scoped(APIKey).order_by(APIKey.is_default.desc(), APIKey.id)):
        own.setdefault(key.provider_id, []).append(key)
    counts = dict(
        db.session.execute(
            select(Model.provider_id, func.count())
            .where(or_(Model.organization_id == g.organization.id, Model.organization_id.is_(None)))
            .group_by(Model.provider_id)
        ).all()
    )
    for row in rows:
        row.keys, row.models_count = own.get(row.id, []), counts.get(row.id, 0)  # type: ignore[attr-defined]
    connected = [row for row in rows if row.keys or not row.needs_key]  # type: ignore[attr-defined]
    return connected, [row for row in rows if row not in connected]
