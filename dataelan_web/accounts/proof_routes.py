"""Where somebody proves that they still sit there, before what they sent goes on (lately.py)."""

from __future__ import annotations

from flask import request
from flask_login import current_user, login_required
from werkzeug.wrappers import Response

from .. import audit
from ..extensions import db
from . import lately
from .account_routes import account
from .forms import ProofForm
from .proving import is_proven


@account.post("/proof")
@login_required
def prove() -> Response:
    """`to`, in the address: where the fields that came along go on to."""
    to, form = request.args.get("to", ""), ProofForm()
    if not form.validate_on_submit() or not is_proven(form):
        return lately.ask(to, form)
    audit.record("account.proven", current_user)
    db.session.commit()
    return lately.go_on(to)
