"""Pages of models and their prices."""

from __future__ import annotations

from typing import Any

from flask import g, request, url_for
from sqlalchemy import func, or_, select
from sqlalchemy.orm import contains_eager
from werkzeug.wrappers import Response

from .. import access
from ..extensions import db
from ..models import APIKey, Model, Price, Provider
from ..web import page_number, render
from .blueprint import bp

PAGE = 50


@bp.get("/hub/models")
def models() -> Response:
    access.require(access.SEE)
    filters = {name: request.args.get(name, "").strip() for name in ("q", "provider", "capability")}
    page = page_number()
    query = _matching(filters)
    total = db.session.scalar(select(func.count()).select_from(query.subquery())) or 0
    rows = db.session.scalars(query.order_by(Provider.name, Model.name).limit(PAGE).offset((page - 1) * PAGE)).all()
    return render(
        "hub/models.html",
        "results",
        models=[_listed(model) for model in rows],
        query=filters["q"],
        provider=filters["provider"],
        capability=filters["capability"],
        providers=[(row.slug, row.name) for row in _with_models()],
        total=total,
        newer_url=_page_url(filters, page - 1) if page > 1 else None,
        older_url=_page_url(filters, page + 1) if page * PAGE < total else None,
    )


def _matching(filters: dict[str, str]) -> Any:
    query = access.scoped(Model).options(contains_eager(Model.provider))
    if filters["q"]:
        pattern = "%" + filters["q"].replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"
        query = query.where(or_(Model.name.ilike(pattern), Model.display_name.ilike(pattern)))
    if filters["provider"]:
        query = query.where(Provider.slug == filters["provider"])
    if filters["capability"]:
        query = query.where(Model.capabilities.contains([filters["capability"]]))
    return query


def _listed(model: Model) -> Model:
    usable = {key.provider_id for key in _own_keys()}
    model.usable = model.provider_id in usable or not model.provider.needs_key  # type: ignore[attr-defined]
    model.price = _newest_price(model)  # type: ignore[attr-defined]
    return model


def _own_keys() -> list[APIKey]:
    if "own_keys" not in g:
        g.own_keys = list(db.session.scalars(access.scoped(APIKey)))
    return g.own_keys  # type: ignore[no-any-return]


def _newest_price(model: Model) -> Price | None:
    return model.prices[-1] if model.prices else None


def _with_models() -> list[Provider]:
    have = select(Model.provider_id)
    return list(db.session.scalars(access.scoped(Provider).where(Provider.id.in_(have)).order_by(Provider.name)))


def _page_url(filters: dict[str, str], page: int) -> str:
    values: dict[str, Any] = {**filters, "page": page}
    return url_for("hub.models", **values)
