from __future__ import annotations

from flask import Blueprint, abort, url_for
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from .. import audit
from ..web import redirect, toast
from . import impersonating, signing_in

bp = Blueprint("acting", __name__, url_prefix="/acting")


@bp.post("/end")
@login_required
def end() -> Response:
    """A superuser is themselves again. 404 for who acts as nobody."""
    if audit.impersonator() is None:
        abort(404)
    person = current_user.id
    impersonating.end(signing_in.here())
    toast("You are yourself again.", "good")
    return redirect(url_for("admin.show_person", id=person))
