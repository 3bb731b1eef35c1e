"""The page of an organization's settings that says how its people have to sign in."""

from __future__ import annotations

from typing import Any

from flask import Response as FlaskResponse
from flask import abort, g, request
from werkzeug.wrappers import Response

from .. import access
from ..accounts.lately import proven_lately
from ..accounts.signing_in import here
from ..sso.settings import CannotEnforce
from ..web import render, with_toast
from . import sign_in, ways
from .abilities import CHOOSES_WAYS, WANTS_TWO_FACTORS
from .routes import bp

YOURS_FIRST = "You are signed in by a password alone, and would be the first to be kept out."

NONE = "Choose at least one of these ways, or nobody could come in."
NOT_YOURS = "You did not sign in by any of these yourself, and would be the first to be kept out."


@bp.get("/settings/sign-in")
def show_sign_in() -> Response:
    access.require(access.ADMINISTER)
    return _page()


@bp.post("/settings/sign-in")
@proven_lately
def change_sign_in() -> Response:
    """`two_factor`: needed, or not."""
    access.require(access.ADMINISTER)
    wanted = request.form.get("two_factor")
    if wanted not in ("needed", "not needed"):
        abort(422, "Say whether two factors are needed, or not.")
    if wanted == "needed" and not WANTS_TWO_FACTORS.of(g.organization.kind):
        abort(422, "One person alone decides that for themselves.")
    if wanted == "needed" and not here().is_two_factor:
        return _page(422, problem=YOURS_FIRST)
    sign_in.require_two_factor(g.organization, wanted == "needed")
    said = "Everyone here needs two factors from now on." if wanted == "needed" else "A password is enough again."
    return with_toast(_page(), said, "good")


@bp.post("/settings/sign-in/ways")
@proven_lately
def change_ways() -> Response:
    """`way`: each that leads in."""
    access.require(access.ADMINISTER)
    if not CHOOSES_WAYS.of(g.organization.kind):
        abort(422, "One person alone decides that for themselves.")
    offered, chosen = ways.offered(g.organization), request.form.getlist("way")
    wanted = [way for way in offered if way in chosen]
    if not wanted or len(wanted) != len(set(chosen)):
        return _page(422, chosen=wanted, ways_problem=NONE)
    if not here().is_by_one_of(wanted):
        return _page(422, chosen=wanted, ways_problem=NOT_YOURS)
    try:
        ways.allow(g.organization, wanted)
    except CannotEnforce as problem:
        return _page(422, chosen=wanted, ways_problem=str(problem))
    return with_toast(_page(), "Saved. It holds from now on.", "good")


def _page(status: int = 200, **context: Any) -> FlaskResponse:
    without, number = sign_in.without_second_factor(g.organization)
    allowed = ways.allowed(g.organization)
    strangers, more = ways.without(g.organization, allowed) if g.organization.allowed_ways else ((), 0)
    return render(
        "organizations/sign_in.html",
        "sign_in",
        status=status,
        takes_ways=CHOOSES_WAYS.of(g.organization.kind),
        offered=ways.offered(g.organization),
        allowed=allowed,
        strangers=strangers,
        strangers_number=more,
        shown=here().shown,
        takes=WANTS_TWO_FACTORS.of(g.organization.kind),
        without=without,
        number=number,
        is_ready=here().is_two_factor,
        **context,
    )
