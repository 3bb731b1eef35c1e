"""The page on which owners and admins of an enterprise set up its single sign-on."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import current_app, g, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access
from ..accounts.lately import proven_lately
from ..models import ClaimedDomain, Identity, IdentityProvider
from ..once import done_once
from ..organizations.abilities import HAS_SSO
from ..organizations.blueprint import inside_organization
from ..web import redirect, render, toast, with_toast
from . import domains, settings
from .forms import DomainForm, SettingsForm
from .provider import Unusable

settings_bp = inside_organization("sso_settings", __name__)
SAVED = "Single sign-on is saved."
FIRST = "Enter the issuer first."


@settings_bp.get("/settings/single-sign-on")
def show() -> Response:
    access.require(access.ADMINISTER)
    return _page()


@settings_bp.post("/settings/single-sign-on")
@proven_lately
def change() -> Response:
    access.require(access.ADMINISTER)
    form = _form()
    if not _has_it() or not form.validate_on_submit():
        return _page(422, form=form)
    settings.change(g.organization, current_user, form.wanted())
    return with_toast(_page(), SAVED, "good")


@settings_bp.post("/settings/single-sign-on/test")
def test() -> Response:
    """What is at the issuer that stands in the form, stored or not."""
    access.require(access.ADMINISTER)
    form, found = _form(), settings.of(g.organization)
    if not _has_it() or not form.issuer.validate(form):
        return _tested(422, problem=" ".join(map(str, form.issuer.errors)) or FIRST)
    typed = form.client_id.data or "", form.secret.data or ""
    try:
        return _tested(tested=settings.test(found, str(form.issuer.data), *typed))
    except Unusable as problem:
        return _tested(422, problem=str(problem))


@settings_bp.post("/settings/single-sign-on/removal")
@proven_lately
def remove() -> Response:
    access.require(access.ADMINISTER)
    if found := settings.of(g.organization):
        settings.remove(found)
    toast("Single sign-on is removed. People sign in with their own passwords.", "good")
    return redirect(url_for("sso_settings.show" if access.through() is None else "accounts.login"))


@settings_bp.post("/settings/single-sign-on/enforcement")
@proven_lately
def enforce() -> Response:
    access.require(access.ADMINISTER)
    found, is_enforced = settings.of(g.organization), request.form.get("is_enforced") == "yes"
    if found is None:
        return _page(422)
    try:
        settings.enforce(found, is_enforced)
    except settings.CannotEnforce as problem:
        return _page(422, problem=str(problem))
    said = "It is the only way in from now on." if is_enforced else "People may sign in with their own passwords again."
    toast(said, "good")
    return redirect(url_for("sso_settings.show"))


@settings_bp.post("/settings/single-sign-on/domains")
@done_once()
def claim() -> Response:
    access.require(access.ADMINISTER)
    form = DomainForm()
    if not _has_it() or not form.validate_on_submit():
        return _page(422, domain_form=form)
    if len(domains.listed(g.organization.id)) >= domains.MOST:
        form.domain.errors = [f"{domains.MOST} domains at most."]
        return _page(422, domain_form=form)
    domains.claim(g.organization, domains.written(str(form.domain.data)))
    return _page()


@settings_bp.post("/settings/single-sign-on/domains/<uuid:id>/check")
@proven_lately
def check_domain(id: uuid.UUID) -> Response:
    domain = access.administered(ClaimedDomain, id)
    if not _has_it():
        return _page(422)
    try:
        domains.check(domain)
    except domains.NotProven as problem:
        return _page(422, unproven={id: str(problem)})
    return with_toast(_page(), f"{domain.domain} is yours.", "good")


@settings_bp.post("/settings/single-sign-on/domains/<uuid:id>/removal")
def release_domain(id: uuid.UUID) -> Response:
    domain = access.administered(ClaimedDomain, id)
    if g.organization.enforces_sso and domains.is_last(domain):
        return _page(422, unproven={id: "Single sign-on is the only way in, and leads nowhere without a domain."})
    domains.release(domain)
    return with_toast(_page(), f"People of {domain.domain} come in no more for the first time.", "good")


@settings_bp.post("/settings/single-sign-on/people/<uuid:id>/removal")
def forget(id: uuid.UUID) -> Response:
    identity = access.administered(Identity, id)
    name = identity.user.name
    settings.forget(identity)
    return with_toast(_page(), f"{name} is known no more, and signed out.", "good")


def _has_it() -> bool:
    return bool(HAS_SSO.of(g.organization.kind))


def _form() -> SettingsForm:
    return SettingsForm(found=settings.of(g.organization), is_enforced=g.organization.enforces_sso)


def _tested(status: int = 200, **context: Any) -> FlaskResponse:
    return render("sso/tested.html", status=status, **context)


def _page(
    status: int = 200,
    form: SettingsForm | None = None,
    domain_form: DomainForm | None = None,
    unproven: dict[uuid.UUID, str] | None = None,
    problem: str = "",
) -> FlaskResponse:
    here = g.organization
    found: IdentityProvider | None = settings.of(here)
    public_url = current_app.extensions["dataelan_settings"].public_url
    return render(
        "sso/settings.html",
        "sso",
        status=status,
        has_it=_has_it(),
        found=found,
        form=form or SettingsForm.of(found, here.enforces_sso),
        domain_form=domain_form or DomainForm(formdata=None),
        domains=domains.listed(here.id),
        unproven=unproven or {},
        record=(domains.LABEL, domains.PREFIX),
        known=settings.known(found),
        problem=problem,
        missing=settings.missing_to_enforce(found) if found else "",
        others=settings.locked_out(here, found),
        owners=settings.owners_on_their_own(here),
        is_through=access.through() == here.id,
        callback=settings.redirect_uri(here),
        start=f"{public_url}{url_for('sso.start', slug=here.slug)}",
        is_elsewhere=not request.host_url.startswith(f"{public_url}/"),
    )
