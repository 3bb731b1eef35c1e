"""A person's notices, of all their organizations: read, marked, and chosen for mail."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import current_app, g, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access, audit
from ..extensions import db
from ..models import Notice, now
from ..notify import inbox
from ..notify.kinds import KINDS, MAILED, kind_of
from ..web import partial, redirect, render, toast, wants_fragment
from . import lists
from .blueprint import bp
from .forms import MailForm


@bp.get("/notices")
def notices() -> Response:
    """`kind`: of this kind alone. `after`: where the list was left."""
    return _page()


@bp.get("/notices/count")
def count() -> Response:
    """The bell, for a page that has been open for a while."""
    return current_app.make_response(_bell())


@bp.post("/notices/<uuid:id>/reading")
def read(id: uuid.UUID) -> Response:
    """`is_read`: no, to keep it for later."""
    notice = access.visible(Notice, id)
    notice.read_at = None if request.form.get("is_read") == "no" else notice.read_at or now()
    db.session.commit()
    if not wants_fragment():
        return redirect(url_for("notices.notices"))
    lists.name_organizations([notice])
    return _with_bell(render("notices/row.html", notice=notice, kind_of=kind_of))


@bp.post("/notices/reading")
def read_all() -> Response:
    """`kind`: those of this kind alone."""
    inbox.read_all(db.session, current_user.id, _kind())
    if not wants_fragment():
        return redirect(url_for("notices.notices"))
    return _with_bell(_page())


@bp.post("/notices/mail")
def choose_mail() -> Response:
    form = MailForm()
    if not form.validate_on_submit():
        return _page(422, form)
    chosen = {kind: kind in (form.kinds.data or ()) for kind in MAILED}
    if any(current_user.mail_choices.get(kind) != is_wanted for kind, is_wanted in chosen.items()):
        current_user.mail_choices = current_user.mail_choices | chosen
        audit.record("account.mail_chosen", current_user, g.organization.id, **chosen)
        db.session.commit()
    toast("Your choice is saved.", "good")
    return redirect(url_for("notices.notices", _anchor="by-mail"))


def _page(status: int = 200, form: MailForm | None = None) -> FlaskResponse:
    kind, after = _kind(), lists.Place.said(request.args.get("after", ""))
    groups, further = lists.notices(kind, after)
    return render(
        "notices/notices.html",
        "further" if after else "list",
        status=status,
        groups=groups,
        further_url=url_for("notices.notices", kind=kind or None, after=further) if further else None,
        kind=kind,
        kind_of=kind_of,
        kinds=KINDS,
        mailed=MAILED,
        form=form or MailForm(formdata=None, kinds=lists.by_mail()),
        sends_mail=current_app.extensions["dataelan_settings"].mail is not None,
    )


def _kind() -> str:
    return request.values.get("kind", "")[:200]


def _bell() -> str:
    """Not render_template: the rest of the navigation has no place in this piece, and costs queries."""
    here = [one.id for one in access.organizations_of(current_user) if access.opens(one)]
    template = current_app.jinja_env.get_template("notices/bell.html")
    unread = inbox.unread(db.session, current_user.id, here)
    return template.render(unread=unread, organization=g.organization)


def _with_bell(response: FlaskResponse) -> FlaskResponse:
    response.set_data(response.get_data(as_text=True) + partial("#bell", _bell(), "outerHTML"))
    return response
