"""Signing in at one’s organization’s provider: by address or link, there and back, and into an account of before."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, abort, g, request, url_for
from flask import redirect as plain_redirect
from flask_login import login_required
from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import contains_eager
from werkzeug.wrappers import Response

from .. import access, audit
from ..accounts import signing_in, throttle
from ..accounts.proving import is_proven
from ..extensions import db
from ..models import ClaimedDomain, IdentityProvider, Organization, OrganizationKind, Way, now
from ..web import local_path, redirect, render
from . import domains, gate, letting_in, linking, pending, provider, proving, returning, settings
from .forms import AnewForm, BesideForm, LinkForm, WhoForm
from .id_token import Untrusted
from .letting_in import Entry, NeedsProof, NotLetIn
from .person import Person
from .provider import Unusable

bp = Blueprint("sso", __name__, url_prefix="/sso")
UNKNOWN = "No organization here signs people in by this. Try its address, what follows /o/, or ask an admin of it."
NOT_BEGUN = "It was not begun in this browser, took longer than ten minutes, or was used already."
MANY, WINDOW = 600, 15 * 60
"""Sign-ins that are begun from one address, behind which a whole office may be: each asks the provider something."""


@bp.get("")
def ask() -> Response:
    """Whose provider? Known already where one was going into an organization that has one."""
    going = re.match(r"/o/([\w-]+)", _next())
    if going and _provider(going[1]):
        return redirect(url_for("sso.start", slug=going[1], next=_next()))
    return _asked(WhoForm(formdata=None))


@bp.post("")
def find() -> Response:
    form = WhoForm()
    if not form.validate_on_submit():
        return _asked(form, 422)
    who = str(form.who.data)
    slug = domains.home_of(who) if "@" in who else who.rstrip("/").rpartition("/")[2]
    if _provider(slug) is None:
        form.who.errors = [UNKNOWN]
        return _asked(form, 422)
    return redirect(url_for("sso.start", slug=slug, next=_next() or None))


@bp.get("/<slug>")
def start(slug: str) -> Response:
    """To the provider. Its own page of applications may lead here too: nothing is taken from who comes."""
    found = _provider(slug)
    if found is None:
        return _nowhere("", UNKNOWN, 404)
    if _is_led_here_unasked():
        return render("sso/go_on.html", found=found, next_url=_next())
    if wait := throttle.spend("sso", request.remote_addr or "", MANY, WINDOW):
        return _nowhere(slug, f"Many sign-ins were begun from here. Go on in {-(-wait // 60)} minutes.", 429)
    db.session.commit()  # no connection is held while we ask
    try:
        said = provider.discover(found.issuer)
    except Unusable as problem:
        return _nowhere(slug, str(problem), 502)
    begun = pending.begin(found, _next(), proves=bool(request.args.get("proof")) and proving.is_for(found))
    asked = begun.asks(found.client_id, settings.redirect_uri(found.organization), said.scopes)
    asked |= proving.wish(found.issuer) if begun.proves else {}
    return plain_redirect(f"{said.authorization}{'&' if '?' in said.authorization else '?'}{urlencode(asked)}", 303)


@bp.get("/<slug>/callback")
def callback(slug: str) -> Response:
    found = _provider(slug)
    begun = pending.take(request.args.get("state", ""), found) if found else None
    if found is None or begun is None:
        return _nowhere(slug if found else "", NOT_BEGUN, 400)
    who = None
    try:
        who = returning.who(found, begun, request.args)
        if begun.proves:
            proving.note(found, begun, who)
            return render("sso/proven.html", found=found)
        return _inside(letting_in.let_in(found, who), begun.next_url, who.signed_in_at)
    except NeedsProof as proof:
        db.session.commit()
        pending.ask_for_proof(found, proof.person, begun.next_url)
        return redirect(url_for("sso.show_link"))
    except (Unusable, Untrusted, NotLetIn) as problem:
        return _refused(found, str(problem), who)


@bp.get("/link")
def show_link() -> Response:
    return _link()


@bp.post("/link")
def link() -> Response:
    waits = linking.waiting()
    if waits is None:
        return _link()
    proving, found, user = waits
    form = linking.form_for(user)
    if not form.validate_on_submit() or not linking.is_theirs(user, form):
        return _link(form, 422)
    try:
        return _inside(letting_in.link(found, proving.person, user), proving.next_url)
    except NotLetIn as problem:
        return _refused(found, str(problem), proving.person)


@bp.post("/<slug>/beside")
@login_required
def go_beside(slug: str) -> Response:
    """What an owner does when the provider is down. 404 for who does not belong there, 403 for who is no owner."""
    try:
        access.enter_organization(slug)
    except access.AnotherWay:
        if not gate.may_go_beside():
            abort(403)
    else:
        return redirect(_next() or url_for("organizations.home", slug=slug))
    form = BesideForm()
    if not form.validate_on_submit() or not is_proven(form, password_is_enough=True):
        return gate.show(form, 422, _next())
    gate.go_beside(signing_in.here(), g.organization)
    return redirect(_next() or url_for("organizations.home", slug=slug))


@bp.post("/<slug>/anew")
@login_required
def sign_in_anew(slug: str) -> Response:
    """Of who came another way than leads there: their password or a passkey, without signing out. 404 for who does not
    belong there."""
    try:
        access.enter_organization(slug)
    except access.AnotherWay:
        form = AnewForm()
        if not gate.may_show_more() or not form.validate_on_submit() or not is_proven(form, password_is_enough=True):
            return gate.show(anew_form=form, status=422, next_url=_next())
    return redirect(_next() or url_for("organizations.home", slug=slug))


def _is_led_here_unasked() -> bool:
    """By another site, without a click, as browsers say: whom the provider knows would be in before they know it."""
    is_others = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    return is_others and request.headers.get("Sec-Fetch-User") != "?1"


def _provider(slug: str) -> IdentityProvider | None:
    """That of an organization which people can enter by it, and whose domain is proven: so that no address of ours
    leads to whatever site anybody wants it to."""
    ways = Organization.allowed_ways
    is_way_in = or_(Organization.enforces_sso, func.jsonb_array_length(ways) == 0, ways.contains([Way.SSO.value]))
    is_open = is_way_in, Organization.deleted_at.is_(None), Organization.suspended_at.is_(None)
    is_proven = exists().where(ClaimedDomain.organization_id == Organization.id, ClaimedDomain.proven_at.is_not(None))
    query = select(IdentityProvider).join(IdentityProvider.organization)
    here = query.where(Organization.slug == slug, Organization.kind == OrganizationKind.ENTERPRISE, *is_open, is_proven)
    return db.session.scalars(here.options(contains_eager(IdentityProvider.organization))).first()


def _inside(entry: Entry, next_url: str, signed_in_at: int | None = None) -> Response:
    """Signed in, which commits what let them in. `signed_in_at`: when they showed the provider who they are, which may
    be long ago, as it says; None: just now."""
    home = url_for("organizations.home", slug=entry.organization.slug)
    proven_at = min(now(), datetime.fromtimestamp(signed_in_at, UTC)) if signed_in_at else None
    signing_in.begin(entry.user, through=entry.organization, proven_at=proven_at)
    audit.record("sso.signed_in", entry.user, entry.organization.id, issuer=entry.provider.issuer)
    db.session.commit()
    return redirect(local_path(next_url) or home)


def _refused(found: IdentityProvider, why: str, who: Person | None) -> Response:
    """In the log of the organization, so that its admins see what to mend."""
    audit.record("sso.refused", found, why=why, address=who.email if who else "")
    db.session.commit()
    return _nowhere(found.organization.slug, why, 403)


def _nowhere(slug: str, why: str, status: int) -> Response:
    return render("sso/not_in.html", status=status, slug=slug, why=why, next_url=_next())


def _asked(form: WhoForm, status: int = 200) -> Response:
    return render("sso/ask.html", "form", status=status, form=form, next_url=_next())


def _link(form: LinkForm | None = None, status: int = 200) -> Response:
    waits = linking.waiting()
    if waits is None:
        return _nowhere("", NOT_BEGUN, 400)
    _, found, user = waits
    context: dict[str, Any] = {"form": form or linking.form_for(user, formdata=None), "email": user.email}
    return render("sso/link.html", "form", status=status, place=found.organization.name, **context)


def _next() -> str:
    return local_path(request.args.get("next", ""))
