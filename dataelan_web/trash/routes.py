from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import abort, g, request
from werkzeug.wrappers import Response

from .. import access, place
from ..accounts.superusers import for_superusers
from ..organizations.blueprint import inside_organization
from ..web import redirect, render, toast, wants_fragment, with_toast
from . import discarding, listing
from .kinds import KINDS, Kind, kind_of, undo_url
from .returning import Hindered

bp = inside_organization("trash", __name__)
operators_bp = for_superusers("admin_trash", __name__)


@operators_bp.get("/trash")
@bp.get("/trash")
def trash_page() -> Response:
    if not place.is_operators() and g.role is not None:
        access.require(access.EDIT)
    return _page()


@operators_bp.post("/trash/<kind>/<uuid:id>/restoration")
@bp.post("/trash/<kind>/<uuid:id>/restoration")
def restore(kind: str, id: uuid.UUID) -> Response:
    """Out of the trash. From the trash's own list one stays there; from anywhere else one is led to it."""
    found = _kind(kind)
    row = place.trashed(found.model, id)
    try:
        discarding.restore(row)
    except Hindered as hindered:
        return _not_back(str(hindered))
    if wants_fragment():
        return with_toast(_page(), f"“{found.title(row)}” is back.", "good", link=found.url(row))
    toast(f"The {found.noun} is back.", "good")
    return redirect(found.url(row))


@operators_bp.post("/trash/<kind>/<uuid:id>/erasure")
@bp.post("/trash/<kind>/<uuid:id>/erasure")
def erase(kind: str, id: uuid.UUID) -> Response:
    """For ever."""
    place.require_administer()
    found = _kind(kind)
    row = place.trashed(found.model, id)
    title = found.title(row)
    discarding.erase(row)
    if wants_fragment():
        return with_toast(_page(), f"“{title}” is deleted for ever.")
    toast("Deleted for ever.")
    return redirect(place.url("trash", "trash_page"))


def _not_back(why: str) -> Response:
    if wants_fragment():
        return with_toast(_page(409), why, "danger")
    toast(why, "danger")
    return redirect(place.url("trash", "trash_page"))


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
    found = KINDS.get(name)
    return found if found and (found.is_operators or not place.is_operators()) else abort(404)


def _page(status: int = 200) -> FlaskResponse:
    kind = request.values.get("kind", "")
    found, further = listing.lines(kind, request.values.get("before", ""))
    return render(
        "trash/trash.html",
        "trash",
        status,
        lines=found,
        kind=kind,
        kinds=listing.kinds_to_choose(kind),
        can_erase=place.may_administer(),
        is_further=bool(request.values.get("before")),
        further=further,
    )
