"""What gives somebody power over an organization, or a way to stay in it, is done by who proved lately who they are.

A cookie that was stolen, or a screen that was left open, is enough to look around; it is not enough to become an owner,
to let somebody in, or to make a token that outlives the sign-in. Who signed in, or proved it, within LATELY in this
browser is not asked again. A route says `@proven_lately`; where only what was sent tells, its view calls `require`.

The answer asks (422): of htmx by a dialog over the page, after which static/proof.js sends the form again as it stands;
else by a page that holds the fields, and sends them on.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from flask import Flask, Response, abort, make_response, request
from flask import redirect as plain_redirect
from flask_login import current_user
from flask_wtf import FlaskForm
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from .. import access, audit, errors
from ..extensions import db
from ..models import Organization
from ..web import MARK, alone, local_path, partial, piece, render, wants_fragment
from . import passkeys, signing_in
from .forms import ProofForm

Asked = ParamSpec("Asked")
View = Callable[Asked, AnyResponse]

SAYS = "Dataelan-Proof"
"""The header that tells the page `needed` or `given` (static/proof.js)."""
NOT_KEPT = ("csrf_token", MARK, "current", "code", "credential")
"""Fields of the proof, and those that each form has of its own. No route that asks has others of these names."""
ACTING = "What gives somebody power asks for a proof of yours, not older than 15 minutes. End acting, and begin anew."


class ProofNeeded(HTTPException):
    """It is too long ago that who asks proved who they are."""

    code = 422


def init_app(app: Flask) -> None:
    app.register_error_handler(ProofNeeded, lambda _: ask(request.full_path.rstrip("?")))


def proven_lately(view: View[Asked]) -> View[Asked]:
    """For a view that only who proved lately who they are may ask for."""

    @functools.wraps(view)
    def guarded(*args: Asked.args, **given: Asked.kwargs) -> AnyResponse:
        require()
        return view(*args, **given)

    guarded.is_proven_lately = True  # type: ignore[attr-defined]
    return guarded


def require() -> None:
    """Raises ProofNeeded; 403 for who acts as somebody else, whose own proof it would be. Reads and writes nothing."""
    if signing_in.here().is_proven_lately:
        return
    if audit.impersonator() is not None:
        abort(errors.show(403, title="Not in somebody else’s name", text=ACTING))
    raise ProofNeeded


def ask(to: str, form: FlaskForm | None = None) -> Response:
    """`to`: where what was sent goes on to, in this request's fields."""
    context: dict[str, Any] = {
        "form": form or ProofForm(formdata=None),
        "through": db.session.get(Organization, access.through()) if access.through() else None,
        "has_passkeys": bool(passkeys.of(current_user)),
        "place": passkeys.place(),
        "to": to,
    }
    if not wants_fragment():
        fields = [(name, said) for name, said in request.form.items(multi=True) if name not in NOT_KEPT]
        return render("accounts/proof.html", status=422, fields=fields, **context)
    dialog = piece("accounts/_proof_dialog.html", **context).get_data(as_text=True)
    response = alone(partial("#proof", dialog, "innerHTML"), 422)
    response.headers[SAYS] = "needed"
    return response


def go_on(to: str) -> AnyResponse:
    """It was proven: what was held back is sent again, by the page itself or as it came with the proof (307)."""
    if wants_fragment():
        response = make_response("", 204)
        response.headers[SAYS] = "given"
        return response
    return plain_redirect(local_path(to) or "/", code=307 if local_path(to) else 303)
