"""Pages of the archive."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import abort, url_for
from werkzeug.wrappers import Response

from ... import access
from ...extensions import db
from ...models import Model, Provider
from ...web import redirect, render, toast
from ..blueprint import bp
from . import shelving


@bp.get("/hub/archive")
def archive() -> Response:
    access.require(access.ADMINISTER)
    return _page()


@bp.post("/hub/archive/models/<uuid:id>/restoration")
def restore_model(id: uuid.UUID) -> Response:
    return _restore(Model, id, "hub.model")


@bp.post("/hub/archive/providers/<uuid:id>/restoration")
def restore_provider(id: uuid.UUID) -> Response:
    return _restore(Provider, id, "hub.provider")


def _restore(table: type[Model] | type[Provider], id: uuid.UUID, page: str) -> Response:
    row = db.session.scalars(access.archived(table).where(table.id == id)).first()
    if row is None:
        abort(404)
    shelving.restore(row)
    toast(f"“{row.name}” is back.", "good")
    return redirect(url_for(page, id=id))


def _page() -> FlaskResponse:
    return render(
        "hub/archive.html",
        "archive",
        providers=shelving.archived_providers(),
        models=shelving.archived_models(),
        crumbs=[("Model Hub", url_for("hub.providers"))],
    )
