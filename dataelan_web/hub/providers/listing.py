"""Ask a provider which models it has, and keep them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from flask import current_app
from sqlalchemy import or_, select

from ...extensions import db
from ...models import Model, ModelType, Provider, new_id, now
from ...router.exchange import ask
from ...router.providers import lister
from ...router.types import Call, ListedModel, Unsupported
from ...router.wire import Client, Clients
from ..models import catalogue, prices, purpose


def list_models(
    kind: str, base_url: str, key: str, *, is_trusted: bool, seconds: float = 15
) -> list[ListedModel] | None:
    """What the provider says it has; None where it has no list. Raises router Failure: a wrong key, an address that
    does not answer …"""
    format = lister(kind, base_url)
    if format is None:
        return None
    try:
        call = format.list_call(key)
    except Unsupported:
        return None
    return format.listed(ask(http(is_trusted), call, format.failure, seconds))


def has_list(kind: str, base_url: str, key: str) -> bool:
    """Is there a list of models for a key of this kind?"""
    format = lister(kind, base_url)
    try:
        return format is not None and bool(format.list_call(key))
    except Unsupported:
        return False


def check_key(provider: Provider, key: str) -> list[ListedModel] | None:
    """Is this key accepted, and what can it use? Raises router Failure."""
    listed = list_models(provider.kind, provider.base_url, key, is_trusted=provider.is_trusted)
    format = lister(provider.kind, provider.base_url)
    if provider.check_path and format:
        headers = format.list_call(key).headers
        call = Call(provider.base_url + provider.check_path, headers=headers, method="GET")
        ask(http(provider.is_trusted), call, format.failure)
    return listed


def http(is_trusted: bool) -> Client:
    """The client for a provider: may it be at a private address? (As executions.candidates decides it.)"""
    clients: Clients = current_app.extensions["dataelan_http"]
    return clients.reaching(is_trusted or current_app.extensions["dataelan_settings"].private_addresses)


def keep(provider: Provider, listed: Sequence[ListedModel] | None, owner_id: uuid.UUID | None) -> list[Model]:
    """Write what was listed to a key of this owner (None: the platform's), and return it. A model only this key can
    see, such as a fine-tuned one, is its owner's alone. What is no longer listed stays: its `listed_at` is then older
    than the provider's.

    None, a provider without a list, changes nothing: its models come from the price catalogue or are typed in.
    """
    if listed is None:
        return []
    at, known = now(), _known(provider, owner_id)
    kept: dict[str, Model] = {}
    # A list that says of no model that it can use tools (Gemini's) does not speak of abilities: it denies none.
    tells_abilities = any("tools" in (entry.capabilities or ()) for entry in listed)
    for entry in listed:
        found = catalogue.look_up(provider.catalogue, entry.name)
        use = purpose.task_of(entry.name, entry.task, entry.capabilities, found)
        if use is None or len(entry.name) > 200:
            continue
        if entry.name not in known:
            known[entry.name] = make(provider, entry.name, use, found, owner_id, entry.display_name)
        model = kept[entry.name] = known[entry.name]
        _refresh(model, entry, tells_abilities, at)
        if entry.task:
            model.model_type, model.task = _purpose(model, use)
    provider.models_listed_at = at
    db.session.flush()
    prices.refresh(kept.values())
    return list(kept.values())


def make(
    provider: Provider,
    name: str,
    use: purpose.Purpose,
    found: catalogue.Known | None,
    owner_id: uuid.UUID | None,
    display_name: str = "",
) -> Model:
    """A model that was not there before; everyone's where everyone's catalogue knows it."""
    is_shared = found is not None and provider.organization_id is None
    model = Model(id=new_id(), provider_id=provider.id, name=name)
    model.organization_id = None if is_shared else owner_id
    model.model_type, model.task = use
    model.display_name = (display_name or (found.name if found else "") or name)[:200]
    model.context_window = found.context_window if found else None
    db.session.add(model)
    return model


def _known(provider: Provider, owner_id: uuid.UUID | None) -> dict[str, Model]:
    """What there already is of this provider. The owner's goes before everyone's of the same name."""
    rows = db.session.scalars(
        select(Model)
        .where(
            Model.provider_id == provider.id,
            or_(Model.organization_id == owner_id, Model.organization_id.is_(None)),
        )
        .order_by(Model.organization_id.is_(None).desc())
    )
    return {model.name: model for model in rows}


def _purpose(model: Model, use: purpose.Purpose) -> purpose.Purpose:
    """What the provider says of a model it listed before. A person may have said that a text model is for code."""
    is_code = model.model_type is ModelType.CODE and use[0] is ModelType.TEXT
    return (ModelType.CODE if is_code else use[0]), use[1]


def _refresh(model: Model, entry: ListedModel, tells_abilities: bool, at: datetime) -> None:
    model.listed_at = at
    model.context_window = entry.context_window or model.context_window
    model.max_output_tokens = entry.max_output_tokens or model.max_output_tokens
    model.shutdown_on = (entry.shutdown_at or "")[:200] or model.shutdown_on
    model.replacement = entry.replacement[:200] or model.replacement
    if tells_abilities and entry.capabilities is not None:
        model.capabilities = purpose.abilities(entry.capabilities)
    if entry.refuses is not None:
        model.refuses = list(entry.refuses)
