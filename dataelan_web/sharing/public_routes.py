"""Pages for anybody who has a link. Nothing here asks who is signed in, and a stranger gets no cookie."""

from __future__ import annotations

import uuid

from flask import Blueprint, make_response, render_template, request
from werkzeug.wrappers import Response

from ..extensions import db
from ..models import PublicLink
from ..playground import sending
from ..storage import Unavailable
from . import guesses, shared

bp = Blueprint("public", __name__, url_prefix="/s")


@bp.after_request
def keep_quiet(response: Response) -> Response:
    """The address is a secret: no index, no cache and no other site is to learn it."""
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.get("/<secret>")
def show(secret: str) -> Response:
    """`after`: the page of cards after this one."""
    link = _link(secret)
    if link is None:
        return _nothing()
    shared.note_opening(link)
    cards, further = shared.cards(link, request.args.get("after", type=uuid.UUID))
    page = render_template("sharing/public.html", link=link, cards=cards, further=further, secret=secret)
    return make_response(page)


@bp.get("/<secret>/files/<uuid:id>")
def public_file(secret: str, id: uuid.UUID) -> Response:
    """With `?download`, to be saved under its name."""
    link = _link(secret)
    found = shared.file(link, id) if link else None
    if found is None:
        return _nothing()
    db.session.expunge(found)
    db.session.commit()  # hold no connection while it is sent
    try:
        is_head, wanted = request.method == "HEAD", request.range
        return sending.answer(found, wanted=wanted, download="download" in request.args, is_head=is_head)
    except Unavailable:
        return make_response(render_template("sharing/no_link.html", is_busy=True), 503)


def _link(secret: str) -> PublicLink | None:
    address = request.remote_addr or ""
    if guesses.too_many(address):
        return None
    link = shared.find(secret)
    if link is None:
        guesses.wrong(address)
    return link


def _nothing() -> Response:
    """The same for a link that ended and one that never was."""
    wait = guesses.too_many(request.remote_addr or "")
    response = make_response(render_template("sharing/no_link.html", wait=wait), 429 if wait else 404)
    if wait:
        response.headers["Retry-After"] = str(wait)
    return response
