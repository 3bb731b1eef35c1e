"""Pages of provider keys. A secret goes in and never comes out."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, request, url_for
from flask_login import current_user
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from ... import access, place
from ...accounts.lately import proven_lately
from ...extensions import db
from ...models import APIKey, PromptSession, Provider, User
from ...once import done_once
from ...playground import connect as first_use
from ...router.types import Failure
from ...web import redirect, render, toast, wants_fragment, with_toast
from ..blueprint import bp, id_in, operators_bp, providers_crumb, url
from ..providers import overview
from ..providers.checking import Checked, problem_of
from ..providers.routes import provider_page
from . import keeping
from .forms import KeyForm, KeySettingsForm, SecretForm


@operators_bp.post("/hub/keys")
@bp.post("/hub/keys")
@proven_lately
@done_once()
def create_key() -> Response:
    """From a provider's page, or from the card in a newcomer's session (which then goes on with the key's models)."""
    place.require_administer()
    provider = place.visible(Provider, id_in(request.form.get("provider_id")))
    if provider.needs_address:
        abort(404)
    form = KeyForm(known_models=overview.known_models(provider), zone=place.time_zone())
    session = _session_of(form)
    if not form.validate_on_submit():
        return _key_refused(form, provider, session)
    settings = form.settings(label=f"{provider.name[:190]} key")
    try:
        key, checked = keeping.add_key(
            provider,
            place.organization(),
            current_user.id,
            str(form.key.data),
            settings,
            is_default=bool(form.is_default.data),
        )
    except Failure as failure:
        form.key.errors = [problem_of(provider.name, failure)]
        return _key_refused(form, provider, session)
    return _key_added(key, checked, session)


@operators_bp.get("/hub/keys/<uuid:id>")
@bp.get("/hub/keys/<uuid:id>")
def key(id: uuid.UUID) -> Response:
    return _key_page(_administered(id))


@operators_bp.post("/hub/keys/<uuid:id>/settings")
@bp.post("/hub/keys/<uuid:id>/settings")
def change_key(id: uuid.UUID) -> Response:
    key = _administered(id)
    form = KeySettingsForm(known_models=_known(key), zone=place.time_zone())
    if not form.validate_on_submit():
        return _key_page(key, 422, form=form)
    keeping.change_key(key, form.settings(label=key.label))
    toast(f"“{key.label}” was changed.", "good")
    return redirect(url("provider", id=key.provider_id))


@operators_bp.post("/hub/keys/<uuid:id>/secret")
@bp.post("/hub/keys/<uuid:id>/secret")
@proven_lately
def replace_secret(id: uuid.UUID) -> Response:
    key, form = _administered(id), SecretForm()
    if not form.validate_on_submit():
        return _key_page(key, 422, secret_form=form)
    try:
        checked = keeping.replace_secret(key, str(form.key.data))
    except Failure as failure:
        form.key.errors = [problem_of(key.provider.name, failure)]
        return _key_page(key, 422, secret_form=form)
    toast(_accepted(key, checked), "good")
    return redirect(url("provider", id=key.provider_id))


@operators_bp.post("/hub/keys/<uuid:id>/test")
@bp.post("/hub/keys/<uuid:id>/test")
def test_key(id: uuid.UUID) -> Response:
    key = _administered(id)
    try:
        word, tone = _accepted(key, keeping.test_key(key)), "good"
    except Failure as failure:
        word, tone = problem_of(key.provider.name, failure), "danger"
    return with_toast(provider_page(key.provider), f"“{key.label}”: {word}", tone)


@operators_bp.post("/hub/keys/<uuid:id>/state")
@bp.post("/hub/keys/<uuid:id>/state")
def set_key_state(id: uuid.UUID) -> Response:
    """`is_enabled`: yes or no."""
    key = _administered(id)
    keeping.set_enabled(key, request.form.get("is_enabled") == "yes")
    word = "is in use again" if key.is_enabled else "is switched off: nothing is sent with it"
    return with_toast(provider_page(key.provider), f"“{key.label}” {word}.", "good")


@operators_bp.post("/hub/keys/<uuid:id>/default")
@bp.post("/hub/keys/<uuid:id>/default")
def make_default(id: uuid.UUID) -> Response:
    key = _administered(id)
    keeping.make_default(key)
    return with_toast(provider_page(key.provider), f"“{key.label}” is the default now.", "good")


@operators_bp.post("/hub/keys/<uuid:id>/order")
@bp.post("/hub/keys/<uuid:id>/order")
def set_key_order(id: uuid.UUID) -> Response:
    """`goes_first`: yes, this key is asked first and the others are its spares; or no, they are drawn by weight."""
    key = _administered(id)
    keeping.set_order(key, goes_first=request.form.get("goes_first") == "yes")
    word = f"“{key.label}” is asked first, the others when it cannot be." if key.goes_first else "Weights decide now."
    return with_toast(provider_page(key.provider), word, "good")


@operators_bp.post("/hub/keys/<uuid:id>/deletion")
@bp.post("/hub/keys/<uuid:id>/deletion")
def delete_key(id: uuid.UUID) -> Response:
    key = _administered(id)
    label, provider = key.label, key.provider
    keeping.delete_key(key)
    return with_toast(provider_page(provider), f"“{label}” was deleted.", "good")


def _administered(id: uuid.UUID) -> APIKey:
    return place.administered(APIKey, id, joinedload(APIKey.provider))


def _session_of(form: KeyForm) -> PromptSession | None:
    """The newcomer's session that it was sent from, if any; the operator has none."""
    if place.is_operators() or not form.session_id.data:
        return None
    return access.visible(PromptSession, id_in(form.session_id.data))


def _known(key: APIKey) -> list[str]:
    """What it may be limited to: what is known, what was listed to it, and what it is limited to already."""
    return sorted({*overview.known_models(key.provider), *key.listed_models, *key.allowed_models})


def _key_page(key: APIKey, status: int = 200, **context: Any) -> FlaskResponse:
    page: dict[str, Any] = {
        "key": key,
        "health": overview.health_of(key),
        "provider": key.provider,
        "creator": db.session.get(User, key.created_by) if key.created_by else None,
        "known_models": _known(key),
        "form": KeySettingsForm.of(key, _known(key), place.time_zone()),
        "secret_form": SecretForm(formdata=None),
        "time_zone": place.time_zone(),
        "crumbs": [providers_crumb(), (key.provider.name, url("provider", id=key.provider_id))],
    }
    return render("hub/keys/key.html", "key", status=status, **(page | context))


def _accepted(key: APIKey, checked: Checked) -> str:
    """What the check came to, without more than it showed."""
    name, listed = key.provider.name, len(key.listed_models)
    said = "accepts this key" if checked.is_proven else "shows its models to anyone; the first use checks this key"
    if checked.listed is not None:
        return f"{name} {said}: {listed} models can be used."
    return f"{name} accepts this key." if checked.is_proven else f"{name} cannot check a key: its first use will."


def _key_added(key: APIKey, checked: Checked, session: PromptSession | None) -> Response:
    word = _accepted(key, checked)
    if session is None:
        return with_toast(provider_page(key.provider), word, "good")
    first_use.prefer(session, key.provider, key.listed_models)
    toast(word, "good")
    return redirect(url_for("playground.show", id=session.id))


def _key_refused(form: KeyForm, provider: Provider, session: PromptSession | None) -> Response:
    if session is None:
        return provider_page(provider, 422, key_form=form)
    problem = " ".join(word for words in form.errors.values() for word in words)
    if not wants_fragment():
        toast(problem, "danger")
        return redirect(url_for("playground.show", id=session.id))
    context = first_use.newcomer() | {"problem": problem, "provider_id": str(provider.id)}
    return render("playground/session.html", "connect", status=422, session=session, newcomer=context)
