"""Connecting a provider of one's own: any wire format at any address, without code."""

from __future__ import annotations

from flask import Response as FlaskResponse
from flask import g, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response

from ... import access
from ...extensions import db
from ...models import Model, PromptSession, Provider
from ...once import done_once
from ...playground import connect as first_use
from ...router.types import Failure, Kind
from ...web import redirect, render, toast
from ..blueprint import bp, id_in
from . import connections, overview
from .checking import Checked, problem_of
from .connections import Wanted
from .forms import ProviderForm
from .servers import AddressRefused
from .wire_formats import FORMATS

USUAL = 3
"""How many wire formats are seen at once; the others are behind a word."""


@bp.get("/hub/providers/new")
def new_provider() -> Response:
    access.require(access.ADMINISTER)
    pattern = _pattern(request.args.get("from", ""))
    if pattern is None:
        return _form_page(ProviderForm(formdata=None))
    form = ProviderForm(
        formdata=None,
        name=pattern.name,
        kind=pattern.kind,
        base_url=pattern.base_url,
        catalogue=pattern.catalogue,
        pattern=pattern.slug,
    )
    return _form_page(form)


@bp.post("/hub/servers")
@done_once()
def connect_server() -> Response:
    """From the form, from a server that was found, or from a newcomer's session (which goes on with its models)."""
    access.require(access.ADMINISTER)
    form = ProviderForm()
    session = access.editable(PromptSession, id_in(form.session_id.data)) if form.session_id.data else None
    pattern = _pattern(form.pattern.data or "")
    if not form.validate_on_submit() or not _has_its_key(form, pattern):
        return _form_page(form, 422)
    try:
        provider, checked = connections.connect(g.organization, current_user, _wanted(form, pattern))
    except (AddressRefused, Failure) as refused:
        _say(form, refused)
        return _form_page(form, 422)
    toast(_connected(provider, checked), "good")
    if session is None:
        return redirect(url_for("hub.provider", id=provider.id))
    first_use.prefer(
        session, provider, db.session.scalars(select(Model.name).where(Model.provider_id == provider.id)).all()
    )
    return redirect(url_for("playground.show", id=session.id))


def _form_page(form: ProviderForm, status: int = 200) -> FlaskResponse:
    return render(
        "hub/providers/connect.html",
        "form",
        status=status,
        form=form,
        pattern=_pattern(form.pattern.data or ""),
        patterns=overview.patterns(),
        usual_formats=[one for one in FORMATS if one in FORMATS[:USUAL] or one.kind == form.kind.data],
        other_formats=[one for one in FORMATS[USUAL:] if one.kind != form.kind.data],
        crumbs=[("Model Hub", url_for("hub.providers"))],
    )


def _pattern(slug: str) -> Provider | None:
    return next((row for row in overview.patterns() if row.slug == slug), None)


def _has_its_key(form: ProviderForm, pattern: Provider | None) -> bool:
    if pattern and pattern.needs_key and not form.key.data:
        form.key.errors = ["Paste the key."]
        return False
    return True


def _say(form: ProviderForm, refused: AddressRefused | Failure) -> None:
    """Beside the field that it is about: who refuses a key has an address that is right."""
    if not isinstance(refused, Failure) or refused.kind is not Kind.CREDENTIAL:
        form.base_url.errors = [str(refused)]
    elif form.key.data:
        form.key.errors = [problem_of(str(form.name.data), refused)]
    else:
        form.key.errors = [f"{form.name.data} asks for a key: {refused.message}"]


def _wanted(form: ProviderForm, pattern: Provider | None) -> Wanted:
    return Wanted(
        name=str(form.name.data),
        base_url=str(form.base_url.data),
        kind=form.kind.data,
        secret=form.key.data or "",
        catalogue=form.catalogue.data,
        has_no_list=bool(form.has_no_list.data),
        pattern=pattern,
    )


def _connected(provider: Provider, checked: Checked) -> str:
    if checked.listed is None:
        unproven = " Its first use will check the key." if provider.needs_key and not checked.is_proven else ""
        return f"{provider.name} is connected.{unproven} Name the models you want to use."
    return f"{provider.name} is connected and has {len(checked.listed)} models."
