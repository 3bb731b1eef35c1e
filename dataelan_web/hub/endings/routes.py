"""Pages of models that end, and the notice about them on every page of the hub."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import g, request
from werkzeug.wrappers import Response

from ... import access
from ...models import RoutingRule
from ...web import render, wants_fragment, with_toast
from ..blueprint import bp, id_in
from ..models import browse
from . import shutdowns


@bp.get("/hub/shutdowns")
def shutdowns_page() -> Response:
    access.require(access.SEE)
    return _page()


@bp.post("/hub/models/<uuid:id>/replacement")
def model_replacement(id: uuid.UUID) -> Response:
    """Another model in its place in one rule."""
    access.require(access.ADMINISTER)
    old, new = browse.line(id), browse.line(id_in(request.form.get("model_id")))
    rule = access.administered(RoutingRule, id_in(request.form.get("rule_id")))
    try:
        shutdowns.replace_in_rule(rule, old, new)
    except shutdowns.CannotReplace as refused:
        return with_toast(_page(422), str(refused), "danger")
    return with_toast(_page(), f"“{rule.name}” now uses {new.name}.", "good")


@bp.context_processor
def notice() -> dict[str, Any]:
    """`ending_soon`: [(model, its end)…] in use here, for whole pages only."""
    is_page = g.get("role") is not None and not wants_fragment() and request.endpoint != "hub.shutdowns_page"
    return {"ending_soon": shutdowns.soon() if is_page else []}


def _page(status: int = 200) -> FlaskResponse:
    return render(
        "hub/endings/shutdowns.html",
        "shutdowns",
        status=status,
        shutdowns=shutdowns.shutdowns(),
        can_edit=access.may(access.ADMINISTER),
    )
