"""The page of the price catalogue."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from werkzeug.wrappers import Response

from ... import access
from ...models import ModelType
from ...web import page_number, render
from ..blueprint import bp
from . import elsewhere
from .browse import PAGE, Filters
from .elsewhere import SORTS
from .purpose import SOUGHT


@bp.get("/hub/models/catalogue")
def price_catalogue() -> Response:
    access.require(access.SEE)
    filters = Filters.of(request.args)
    offers, total, page = elsewhere.search(filters, page_number())
    first = (page - 1) * PAGE
    return render(
        "hub/models/catalogue.html",
        "results",
        offers=offers,
        filters=filters,
        total=total,
        first=first + 1,
        last=first + len(offers),
        providers=[(row.slug, row.name) for row in elsewhere.providers()],
        types=list(ModelType),
        sought=SOUGHT,
        sorts=list(SORTS.items()),
        previous_url=_page_url(filters, page - 1) if page > 1 else None,
        next_url=_page_url(filters, page + 1) if page * PAGE < total else None,
        can_edit=access.may(access.ADMINISTER),
        crumbs=[("Models", url_for("hub.models"))],
    )


def _page_url(filters: Filters, page: int) -> str:
    values: dict[str, Any] = {**filters.said, "page": page}
    return url_for("hub.price_catalogue", **values)
