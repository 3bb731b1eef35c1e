"""One's own data as a file, and the end of one's account: deleted, and taken back."""

from __future__ import annotations

from typing import Any

from flask import Response as FlaskResponse
from flask import g, request, send_file, session, url_for
from flask_login import current_user, login_required, logout_user
from werkzeug.wrappers import Response

from ..dashboards import personal
from ..models import now
from ..once import done_once
from ..playground import sending
from ..web import redirect, render, toast
from . import coming_back, landing, leaving, passkeys, signing_in
from .account_routes import account
from .forms import LeavingForm, ProofForm
from .proving import is_proven
from .routes import bp


@account.get("/data")
@login_required
def show_data() -> Response:
    return _page()


@account.post("/export")
@login_required
@done_once()
def export() -> Response:
    """A zip: at once, or by a worker where it is large, in the organization that one came from."""
    form = ProofForm()
    if not form.validate_on_submit() or not is_proven(form):
        return _page(422, proof_form=form)
    rows, here = personal.size(current_user), g.get("organization")
    if here is not None and rows > personal.AT_ONCE:
        export = personal.begin(here, current_user, rows)
        return redirect(url_for("dashboards.show_export", slug=here.slug, id=export.id))
    response = send_file(personal.written_at_once(current_user), mimetype="application/zip")
    sending.name_it(response, f"dataelan account {now():%Y-%m-%d}.zip", "attachment")
    return response


@account.post("/deletion")
@login_required
def delete() -> Response:
    form, user = LeavingForm(expected=current_user.email), current_user._get_current_object()
    if not form.validate_on_submit() or not is_proven(form):
        return _page(422, leaving_form=form)
    try:
        leaving.delete(user)
    except leaving.InTheWay:
        return _page(422, leaving_form=form)  # which says what
    logout_user()
    session.clear()
    toast(f"Your account is deleted. Sign in until {leaving.ends_at(user):%-d %B} to take it back.", "good")
    return redirect(url_for("accounts.login"))


@bp.get("/login/deleted")
def show_way_back() -> Response:
    user, *_ = coming_back.whose()
    if user is None:
        return redirect(url_for("accounts.login"))
    return render("accounts/way_back.html", ends_at=leaving.ends_at(user), user=user)


@bp.post("/login/deleted")
def come_back() -> Response:
    """`wanted`: yes, or nothing: it stays deleted."""
    user, ways, is_two_factor = coming_back.whose()
    coming_back.forget()
    along = leaving.undo(user) if user and request.form.get("wanted") == "yes" else None
    if user is None or along is None:
        return redirect(url_for("accounts.login"))
    signing_in.begin(user, *ways, is_two_factor=is_two_factor)
    leaving.bring_back(user, along)
    toast(f"Welcome back, {user.name}. All is as it was; programs and batches may go on.", "good")
    return redirect(landing.of(user))


def _page(status: int = 200, **forms: Any) -> FlaskResponse:
    empty = {
        "proof_form": ProofForm(formdata=None),
        "leaving_form": LeavingForm(expected=current_user.email, formdata=None),
    }
    return render(
        "accounts/data.html",
        "data",
        status=status,
        owned=leaving.owned(current_user),
        is_last_superuser=leaving.is_last_superuser(current_user),
        passkeys=passkeys.of(current_user),
        place=passkeys.place(),
        **empty | forms,
    )
