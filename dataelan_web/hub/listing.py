"""Ask a provider which models it has, and keep them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from flask import current_app
from sqlalchemy import or_, select

from ..extensions import db
from ..models import Model, ModelType, Provider, new_id, now
from ..router.exchange import ask
from ..router.providers import lister
from ..router.types import Call, ListedModel
from ..router.wire import Client, Clients
from . import catalogue


def list_models(
    kind: str, base_url: str, key: str, *, is_trusted: bool, seconds: float = 15
) -> list[ListedModel] | None:
    """What the provider says it has; None where it has no list. Raises router Failure: a wrong key, an address that
    does not answer …"""
    format = lister(kind, base_url)
    if format is None:
        return None
    return format.listed(ask(_http(is_trusted), format.list_call(key), format.failure, seconds))


def check_key(provider: Provider, key: str) -> list[ListedModel] | None:
    """Is this key accepted, and what can it use? Raises router Failure."""
    listed = list_models(provider.kind, provider.base_url, key, is_trusted=provider.is_trusted)
    format = lister(provider.kind, provider.base_url)
    if provider.check_path and format:
        headers = format.list_call(key).headers
        call = Call(provider.base_url + provider.check_path, headers=headers, method="GET")
        ask(_http(provider.is_trusted), call, format.failure)
    return listed


def _http(is_trusted: bool) -> Client:
    clients: Clients = current_app.extensions["dataelan_http"]
    return clients.reaching(is_trusted)


def keep(provider: Provider, listed: Sequence[ListedModel], organization_id: uuid.UUID) -> list[Model]:
    """Write what was listed. A model only this key can see, such as a fine-tuned one, is the organization's alone."""
    known = {
        model.name: model
        for model in db.session.scalars(
            select(Model).where(
                Model.provider_id == provider.id,
                or_(Model.organization_id == organization_id, Model.organization_id.is_(None)),
            )
        )
    }
    kept: dict[str, Model] = {}
    # A list that says of no model that it can use tools (Gemini's) does not speak of abilities: it denies none.
    tells_abilities = any("tools" in (entry.capabilities or ()) for entry in listed)
    for entry in listed:
        kind = catalogue.model_type(entry.name)
        if kind is None or len(entry.name) > 200:
            continue
        if entry.name not in known:
            known[entry.name] = _new(provider, entry, organization_id, kind)
        kept[entry.name] = known[entry.name]
        _refresh(kept[entry.name], entry, tells_abilities)
    provider.models_listed_at = now()
    return list(kept.values())


def _new(provider: Provider, entry: ListedModel, organization_id: uuid.UUID, kind: ModelType) -> Model:
    found = catalogue.look_up(provider.catalogue, entry.name)
    is_shared = found is not None and provider.organization_id is None
    model = Model(id=new_id(), provider_id=provider.id, name=entry.name, model_type=kind)
    model.organization_id = None if is_shared else organization_id
    model.display_name = (entry.display_name or (found.name if found else "") or entry.name)[:200]
    model.context_window = found.context_window if found else None
    if found and found.price:
        model.prices = [found.price]
    db.session.add(model)
    return model


def _refresh(model: Model, entry: ListedModel, tells_abilities: bool) -> None:
    model.listed_at = now()
    model.context_window = entry.context_window or model.context_window
    model.max_output_tokens = entry.max_output_tokens or model.max_output_tokens
    model.shutdown_on = entry.shutdown_at or model.shutdown_on
    if tells_abilities and entry.capabilities is not None:
        model.capabilities = list(entry.capabilities)
