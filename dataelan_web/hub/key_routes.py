"""Pages of provider keys."""

from __future__ import annotations

import uuid

from flask import g, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..models import APIKey, PromptSession, Provider
from ..playground.connect import newcomer, prefer
from ..router.types import Failure, Kind
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import keys
from .blueprint import bp, id_in
from .forms import KeyForm
from .provider_routes import hub_page


@bp.post("/hub/keys")
def create_key() -> Response:
    """From the hub, or from the card in a newcomer's session (which then continues with the new key's models)."""
    access.require(access.ADMINISTER)
    form = KeyForm()
    provider = access.visible(Provider, id_in(form.provider_id.data))
    session = access.visible(PromptSession, id_in(form.session_id.data)) if form.session_id.data else None
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
    return with_toast(hub_page(), f"“{label}” was deleted.", "good")


def _key_added(key: APIKey, session: PromptSession | None) -> Response:
    count = len(key.listed_models)
    word = f"{key.provider.name} accepts this key: {count} models can be used."
    if session is None:
        return with_toast(hub_page(), word, "good")
    prefer(session, key.provider, key.listed_models)
    toast(word, "good")
    return redirect(url_for("playground.show", id=session.id))


def _key_refused(problem: str, provider: Provider, label: str, session: PromptSession | None) -> Response:
    if session is None:
        return hub_page(422, problem={"provider_id": provider.id, "text": problem, "label": label})
    if not wants_fragment():
        toast(problem, "danger")
        return redirect(url_for("playground.show", id=session.id))
    context = newcomer() | {"problem": problem, "provider_id": str(provider.id)}
    return render("playground/session.html", "connect", status=422, session=session, newcomer=context)
