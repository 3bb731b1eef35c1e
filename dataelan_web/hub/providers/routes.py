"""Pages of providers: all of them, and each with its keys."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, g, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from ... import access, place
from ...models import Provider
from ...router.types import Failure
from ...web import redirect, render, toast, with_toast
from ..archive import shelving
from ..blueprint import bp, operators_bp, providers_crumb
from ..keys.forms import KeyForm
from ..models import assumed
from . import connections, overview, servers
from .forms import ProviderSettingsForm
from .wire_formats import wire_format


@bp.get("/hub/providers")
def providers() -> Response:
    access.require(access.SEE)  # a guest of one project is told nothing of the organization's servers and keys
    connected, waiting, patterns = overview.providers()
    return render(
        "hub/providers/providers.html",
        "hub",
        connected=connected,
        waiting=waiting,
        patterns=patterns,
        found=servers.found_locally(g.organization),
        can_edit=access.may(access.ADMINISTER),
    )


@operators_bp.get("/hub/providers/<uuid:id>")
@bp.get("/hub/providers/<uuid:id>")
def provider(id: uuid.UUID) -> Response:
    place.require_see()
    return provider_page(place.visible(Provider, id))


@operators_bp.post("/hub/providers/<uuid:id>/listing")
@bp.post("/hub/providers/<uuid:id>/listing")
def refresh_models(id: uuid.UUID) -> Response:
    """Ask it again which models it has."""
    provider = _connectable(id)
    done = connections.refresh(provider, place.organization())
    page = provider_page(provider)
    for problem in done.problems:
        page = with_toast(page, f"{provider.name} gave no list. {problem}", "danger")
    return page if done.problems else with_toast(page, f"{done.models_count} models are known now.", "good")


@bp.post("/hub/providers/<uuid:id>/settings")
def change_provider(id: uuid.UUID) -> Response:
    provider, form = _own(id), ProviderSettingsForm()
    if not form.validate_on_submit() or not _may_move(provider, form):
        return provider_page(provider, 422, settings_form=form)
    name, base_url = str(form.name.data), str(form.base_url.data)
    try:
        sealed = connections.change(provider, current_user, name, base_url, bool(form.is_enabled.data))
    except (servers.AddressRefused, Failure) as refused:
        form.base_url.errors = [str(refused)]
        return provider_page(provider, 422, settings_form=form)
    word = " Enter its keys again: they were sealed for the old address." if sealed else ""
    toast(f"{name} was changed.{word}", "warn" if sealed else "good")
    return redirect(url_for("hub.provider", id=id))


@bp.post("/hub/providers/<uuid:id>/prices")
def state_free(id: uuid.UUID) -> Response:
    """“They cost nothing”: of all its models whose price is unknown."""
    provider = _own(id)
    count = assumed.state_free(provider, g.organization, current_user.id)
    word = "Every model has a price." if not count else f"{count} model{'s are' if count > 1 else ' is'} free now."
    return with_toast(provider_page(provider), word, "good")


@bp.post("/hub/providers/<uuid:id>/deletion")
def delete_provider(id: uuid.UUID) -> Response:
    provider = _own(id)
    name = provider.name
    shelving.remove_provider(provider)
    toast(f"“{name}” is in the archive now, without its keys.", "good")
    return redirect(url_for("hub.providers"))


def provider_page(provider: Provider, status: int = 200, **context: Any) -> FlaskResponse:
    can_edit, organization = place.may_administer(), place.organization()
    is_own = provider.organization_id is not None
    page: dict[str, Any] = {
        "provider": provider,
        "wire": wire_format(provider.kind),
        "keys": overview.keys_of(provider),
        "models_count": overview.models_count(provider),
        "unpriced_count": assumed.unpriced_count(provider, organization) if is_own and organization else 0,
        "has_platform_key": organization is not None and not is_own and overview.has_platform_key(provider),
        "key_form": KeyForm(formdata=None),
        "settings_form": ProviderSettingsForm(formdata=None, obj=provider) if is_own else None,
        "dependents": shelving.dependents(provider) if is_own and can_edit else None,
        "can_edit": can_edit,
        "time_zone": place.time_zone(),
        "crumbs": [providers_crumb()],
    }
    return render("hub/providers/provider.html", "provider", status=status, **(page | context))


def _may_move(provider: Provider, form: ProviderSettingsForm) -> bool:
    """Another address makes its keys unreadable: that is said first, and done when it is wanted all the same."""
    keys = overview.keys_of(provider)
    if not keys or form.gives_up_keys.data or not _leads_elsewhere(provider, str(form.base_url.data)):
        return True
    form.base_url.errors = [
        f"The stored {'key was' if len(keys) == 1 else f'{len(keys)} keys were'} sealed for {provider.base_url} and "
        "will never be sent elsewhere. You would have to enter them again: tick the box below if you want that."
    ]
    return False


def _leads_elsewhere(provider: Provider, base_url: str) -> bool:
    try:
        servers.host_of(base_url)
    except servers.AddressRefused:
        return False  # it will be refused as an address
    return Provider(base_url=base_url).address != provider.address


def _connectable(id: uuid.UUID) -> Provider:
    """One that can be asked: not a pattern without an address."""
    provider = place.administered(Provider, id)
    if provider.needs_address:
        abort(404)
    return provider


def _own(id: uuid.UUID) -> Provider:
    """Only an organization's own may be changed; those everyone has are the operator's."""
    provider = access.administered(Provider, id)
    if provider.organization_id is None:
        abort(403)
    return provider
