"""Where a sign-in does not lead: into an organization that enforces its own single sign-on, or that lets people in by
other ways than theirs, and, of one that came through an organization’s, anywhere else."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, Response, g, request
from flask_login import current_user

from .. import access, audit, errors, page_hooks
from ..accounts import landing, passkeys, signing_in
from ..extensions import db
from ..models import Organization, Role, SignIn, now
from ..web import asked_from, render
from . import settings
from .forms import AnewForm, BesideForm

LASTS = timedelta(hours=1)
MINE = {"account.show", "account.rename"}
"""What everybody may of their account, however they came."""
ELSEWHERE = ("account", "founding", "admin", "admin_hub", "admin_limits")
"""Blueprints of what is the person’s alone, or everybody’s."""
REFUSED = (
    "You came through an organization’s single sign-on, which leads to that organization. Sign in with your own "
    "password for this; without one, set one first by “Forgot your password?”."
)


def init_app(app: Flask) -> None:
    app.register_error_handler(access.AnotherWay, _another_way)
    page_hooks.before_page(app, _stay_inside)


def go_beside(sign_in: SignIn, organization: Organization) -> None:
    """An owner comes in without the provider, for an hour: as when it is down. The caller has asked for their password
    or a passkey. Commits."""
    sign_in.beside_id, sign_in.beside_until = organization.id, now() + LASTS
    until = f"{sign_in.beside_until:%H:%M} UTC"
    audit.record("sso.bypassed", organization, organization.id, until=until)
    db.session.commit()


def may_go_beside() -> bool:
    """Does the way past it stand open to who asks, in the organization that they cannot enter?"""
    is_owner: bool = g.role is Role.OWNER
    return is_owner and access.through() is None and g.organization.enforces_sso and audit.impersonator() is None


def may_show_more() -> bool:
    """May who asks show here what they did not sign in by? Not in somebody else’s name; and who came through a single
    sign-on signs in by themselves first."""
    return access.through() is None and not g.organization.enforces_sso and audit.impersonator() is None


def show(
    form: BesideForm | None = None, status: int = 403, next_url: str = "", anew_form: AnewForm | None = None
) -> Response:
    """The ways that do lead there."""
    organization = g.organization
    here = db.session.get(Organization, access.through()) if access.through() else None
    has_passkeys = bool(passkeys.of(current_user))
    if may_show_more() and not has_passkeys:
        landing.note(next_url)
    return render(
        "sso/another_way.html",
        "message",
        status=status,
        wanted=organization,
        through=here,
        has_sso=settings.of(organization) is not None,
        may_go_beside=may_go_beside(),
        may_show_more=may_show_more(),
        ways=organization.allowed_ways,
        shown=signing_in.here().shown,
        has_password=current_user.can_have_password,
        anew_form=anew_form or AnewForm(formdata=None),
        has_passkeys=has_passkeys,
        place=passkeys.place(),
        form=form or BesideForm(formdata=None),
        next_url=next_url,
    )


def _another_way(error: access.AnotherWay) -> Response:
    is_page = request.method == "GET" and not request.htmx  # type: ignore[attr-defined]
    return show(next_url=request.full_path.rstrip("?") if is_page else asked_from())


def _stay_inside() -> Response | None:
    if request.blueprint not in ELSEWHERE or request.endpoint in MINE:
        return None
    if not current_user.is_authenticated or access.through() is None:
        return None
    return errors.show(403, title="Not through single sign-on", text=REFUSED)
