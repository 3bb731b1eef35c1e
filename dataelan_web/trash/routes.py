from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import abort, g, request, url_for
from werkzeug.wrappers import Response

from .. import access
from ..organizations.blueprint import inside_organization
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import discarding, listing
from .kinds import KINDS, Kind, kind_of, undo_url

bp = inside_organization("trash", __name__)


@bp.get("/trash")
def trash_page() -> Response:
    if g.role is not None:
        access.require(access.EDIT)
    return _page()


@bp.post("/trash/<kind>/<uuid:id>/restoration")
def restore(kind: str, id: uuid.UUID) -> Response:
    """Out of the trash. From the trash's own list one stays there; from anywhere else one is led to it."""
    found = _kind(kind)
    row = access.trashed(found.model, id)
    discarding.restore(row)
    if wants_fragment():
        return with_toast(_page(), f"“{found.title(row)}” is back.", "good")
    toast(f"The {found.noun} is back.", "good")
    return redirect(found.url(row))


@bp.post("/trash/<kind>/<uuid:id>/erasure")
def erase(kind: str, id: uuid.UUID) -> Response:
    """For ever."""
    access.require(access.ADMINISTER)
    found = _kind(kind)
    row = access.trashed(found.model, id)
    title = found.title(row)
    discarding.erase(row)
    if wants_fragment():
        return with_toast(_page(), f"“{title}” is deleted for ever.")
    toast("Deleted for ever.")
    return redirect(url_for("trash.trash_page"))


def still_in_trash(error: access.InTrash) -> FlaskResponse:
    """A link to something that was deleted, for those who may take it out again."""
    row = error.subject
    kind = kind_of(row)  # type: ignore[arg-type]
    return render(
        "trash/gone.html",
        "message",
        status=410,
        kind=kind,
        row=row,
        title=kind.title(row),
        restore_url=undo_url(row),  # type: ignore[arg-type]
    )


def _kind(name: str) -> Kind:
    return KINDS.get(name) or abort(404)


def _page() -> FlaskResponse:
    kind = request.values.get("kind", "")
    found, further = listing.lines(kind, request.values.get("before", ""))
    return render(
        "trash/trash.html",
        "trash",
        lines=found,
        kind=kind,
        kinds=list(KINDS.values()),
        is_further=bool(request.values.get("before")),
        further=further,
    )
