from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import g, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import BooleanField, SelectField

from .. import access
from ..fields import id_in, offered
from ..models import Execution, PromptSession
from ..once import done_once
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import links
from .blueprint import bp


class LinkForm(FlaskForm):
    lasts = SelectField("It ends after", choices=offered(links.LASTS.items()), default=links.USUAL)
    shows_names = BooleanField("Show who asked")
    shows_cost = BooleanField("Show tokens and cost")


@bp.get("/sessions/<uuid:id>/links")
def session_links(id: uuid.UUID) -> Response:
    """`run`: to share this one alone."""
    session = access.editable(PromptSession, id)
    return _links(session, LinkForm(formdata=None), _run(session, request.args.get("run")))


@bp.post("/sessions/<uuid:id>/links")
@done_once(tells_secret=True)
def create_link(id: uuid.UUID) -> Response:
    """`run`: the one that it shows; without, all of the session."""
    session = access.editable(PromptSession, id)
    form, run = LinkForm(), _run(session, request.form.get("run"))
    if not g.organization.allows_public_links:
        return _links(session, form, run, 403)
    if not form.validate_on_submit():
        return _links(session, form, run, 422)
    wanted = {"days": form.lasts.data, "shows_names": form.shows_names.data, "shows_cost": form.shows_cost.data}
    made, secret = links.make(session, run, **wanted)
    return _links(session, form, run, 201, made=made, url=url_for("public.show", secret=secret, _external=True))


@bp.post("/sessions/<uuid:id>/links/<uuid:link_id>/revocation")
def revoke_link(id: uuid.UUID, link_id: uuid.UUID) -> Response:
    session = access.editable(PromptSession, id)
    links.revoke(session, link_id)
    if wants_fragment():
        return with_toast(_links(session, LinkForm(formdata=None), None), "The link leads nowhere any more.", "good")
    toast("The link leads nowhere any more.", "good")
    return redirect(url_for("sharing.session_links", id=session.id))


@bp.get("/public-links")
def all_links() -> Response:
    access.require(access.ADMINISTER)
    return render("sharing/all_links.html", links=links.of_organization())


@bp.post("/public-links/allowance")
def allow_links() -> Response:
    """`is_allowed`: yes or no."""
    access.require(access.ADMINISTER)
    is_allowed = request.form.get("is_allowed") == "yes"
    links.allow(g.organization, is_allowed)
    toast("Editors can make public links." if is_allowed else "No public link leads anywhere now.", "good")
    return redirect(url_for("sharing.all_links"))


def _run(session: PromptSession, id: str | None) -> Execution | None:
    """A run of this session; 404 for any other."""
    if not id:
        return None
    run = access.visible(Execution, id_in(id))
    return run if run.session_id == session.id else access.visible(Execution, uuid.UUID(int=0))


def _links(
    session: PromptSession, form: LinkForm, run: Execution | None, status: int = 200, **context: Any
) -> FlaskResponse:
    return render(
        "sharing/links.html",
        "links" if request.method == "POST" else "dialog",
        status=status,
        session=session,
        form=form,
        run=run,
        links=links.of(session),
        is_allowed=g.organization.allows_public_links,
        **context,
    )
