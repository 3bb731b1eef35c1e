from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, g, request, url_for
from flask_login import current_user
from sqlalchemy import func, or_, select
from sqlalchemy.orm import contains_eager
from werkzeug.wrappers import Response

from .. import access
from ..extensions import db
from ..models import APIKey, Model, Price, PromptSession, Provider
from ..organizations.blueprint import inside_organization
from ..playground.connect import newcomer, prefer
from ..router.types import Failure, Kind
from ..web import page_number, redirect, render, toast, wants_fragment, with_toast
from . import keys, servers
from .forms import KeyForm, ServerForm

bp = inside_organization("hub", __name__)

PAGE = 50


@bp.get("/hub/providers")
def providers() -> Response:
    access.require(access.SEE)  # a guest of one project is told nothing of the organization's servers and keys
    return _hub()


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


@bp.post("/hub/keys")
def create_key() -> Response:
    """From the hub, or from the card in a newcomer's session (which then continues with the new key's models)."""
    access.require(access.ADMINISTER)
    form = KeyForm()
    provider = access.visible(Provider, _uuid(form.provider_id.data))
    session = access.visible(PromptSession, _uuid(form.session_id.data)) if form.session_id.data else None
    label = form.label.data or f"{provider.name[:190]} key"
    problem = None
    if form.validate_on_submit():
        try:
            key = keys.add_key(provider, g.organization, current_user.id, label, str(form.key.data))
        except Failure as failure:
            refused = (
                f"{provider.name} did not accept it" if failure.kind is Kind.CREDENTIAL else "It cannot be checked"
            )
            problem = f"{refused}: {failure.message}"
        else:
            return _key_added(key, session)
    problem = problem or " ".join(word for words in form.errors.values() for word in words)
    return _key_refused(problem, provider, label, session)


@bp.post("/hub/keys/<uuid:id>/deletion")
def delete_key(id: uuid.UUID) -> Response:
    key = access.administered(APIKey, id)
    label = key.label
    keys.delete_key(key)
    return with_toast(_hub(), f"“{label}” was deleted.", "good")


@bp.post("/hub/servers")
def connect_server() -> Response:
    """From the hub, or from a newcomer's session (which then continues with the server's models)."""
    access.require(access.ADMINISTER)
    form = ServerForm()
    session = access.editable(PromptSession, _uuid(form.session_id.data)) if form.session_id.data else None
    if not form.validate_on_submit():
        return _hub(422, server_form=form)
    name, base_url = str(form.name.data), str(form.base_url.data)
    try:
        provider = servers.connect(g.organization, current_user, name, base_url, form.key.data or "")
    except (servers.AddressRefused, Failure) as refused:
        form.base_url.errors = [str(refused)]
        return _hub(422, server_form=form)
    toast(f"{provider.name} is connected.", "good")
    if session is None:
        return redirect(url_for("hub.providers"))
    prefer(session, provider, db.session.scalars(select(Model.name).where(Model.provider_id == provider.id)).all())
    return redirect(url_for("playground.show", id=session.id))


def _hub(status: int = 200, **context: Any) -> FlaskResponse:
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


def _key_added(key: APIKey, session: PromptSession | None) -> Response:
    count = len(key.listed_models)
    word = f"{key.provider.name} accepts this key: {count} models can be used."
    if session is None:
        return with_toast(_hub(), word, "good")
    prefer(session, key.provider, key.listed_models)
    toast(word, "good")
    return redirect(url_for("playground.show", id=session.id))


def _key_refused(problem: str, provider: Provider, label: str, session: PromptSession | None) -> Response:
    if session is None:
        return _hub(422, problem={"provider_id": provider.id, "text": problem, "label": label})
    if not wants_fragment():
        toast(problem, "danger")
        return redirect(url_for("playground.show", id=session.id))
    context = newcomer() | {"problem": problem, "provider_id": str(provider.id)}
    return render("playground/session.html", "connect", status=422, session=session, newcomer=context)


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


def _uuid(text: str | None) -> uuid.UUID:
    try:
        return uuid.UUID(text or "")
    except ValueError:
        abort(404)
