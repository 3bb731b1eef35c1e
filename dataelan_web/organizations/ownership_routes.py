"""What only owners do: the kind of organization, handing it over, taking everything out of it, deleting it."""

from __future__ import annotations

from typing import Any

from flask import Response as FlaskResponse
from flask import abort, g, request, url_for
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from .. import access
from ..accounts.lately import proven_lately
from ..dashboards import everything
from ..extensions import db
from ..fields import id_in
from ..members import managing
from ..models import IN_TRASH, Membership, OrganizationKind, Role, User, now
from ..once import done_once
from ..web import redirect, render, toast, with_toast
from . import abilities, ending, kinds
from .blueprint import OrganizationDeleted
from .forms import DeletionForm
from .routes import bp


@bp.get("/settings/kind")
def show_kind() -> Response:
    access.require(access.ADMINISTER)
    return _kind()


@bp.post("/settings/kind")
def change_kind() -> Response:
    access.require(access.OWN)
    wanted = request.form.get("kind", "")
    if wanted not in list(OrganizationKind):
        abort(422, "There is no such kind of organization.")
    try:
        kinds.change(g.organization, OrganizationKind(wanted))
    except kinds.DoesNotFit as problem:
        return _kind(422, refused=OrganizationKind(wanted), problems=problem.problems)
    return with_toast(_kind(), f"{g.organization.name} is {WORDS[OrganizationKind(wanted)]} now.", "good")


@bp.get("/settings/ownership")
def show_ownership() -> Response:
    access.require(access.OWN)
    return _ownership()


@bp.post("/settings/owner")
@proven_lately
def transfer() -> Response:
    access.require(access.OWN)
    membership = access.visible(Membership, id_in(request.form.get("to")))
    managing.transfer(g.organization, membership, current_user)
    toast(f"{membership.user.name} owns {g.organization.name} now, and you are an admin.", "good")
    return redirect(url_for("members.show"))


@bp.post("/export")
@proven_lately
@done_once()
def export() -> Response:
    """Everything, as a zip that a worker writes: its page tells how far it is."""
    access.require(access.OWN)
    export = everything.begin(g.organization, current_user)
    return redirect(url_for("dashboards.show_export", id=export.id))


@bp.post("/deletion")
@proven_lately
def delete() -> Response:
    access.require(access.OWN)
    form = DeletionForm(expected=g.organization.name)
    if not form.validate_on_submit():
        return _ownership(422, form)
    ending.delete(g.organization, current_user)
    return redirect(url_for("organizations.home"))


@bp.post("/restoration")
def restore() -> Response:
    access.require(access.OWN)
    ending.restore(g.organization)
    toast(f"{g.organization.name} is back. Batches wait to be let go on.", "good")
    return redirect(url_for("organizations.home"))


WORDS = {
    OrganizationKind.SOLO: "for one person",
    OrganizationKind.TEAM: "a team",
    OrganizationKind.ENTERPRISE: "an enterprise",
}


def is_deleted(error: OrganizationDeleted) -> FlaskResponse:
    """410: for its owners with the way back, for its people with whom to ask."""
    organization = error.organization
    others = [one for one in access.organizations_of(current_user) if one.deleted_at is None]
    return render(
        "organizations/deleted.html",
        "message",
        status=410,
        deleted=organization,
        ends_at=(organization.deleted_at or now()) + IN_TRASH,
        is_owner=g.role is Role.OWNER,
        others=others,
    )


def _kind(status: int = 200, **context: Any) -> FlaskResponse:
    here = g.organization
    return render(
        "organizations/kind.html",
        "kind",
        status=status,
        kinds=abilities.KINDS,
        kind_abilities=abilities.KIND_ABILITIES,
        in_the_way={kind: kinds.problems(here, kind) for kind in abilities.KINDS if kind is not here.kind},
        words=WORDS,
        is_owner=access.may(access.OWN),
        **context,
    )


def _ownership(status: int = 200, form: DeletionForm | None = None) -> FlaskResponse:
    query = select(Membership, User).join(User, User.id == Membership.user_id)
    query = query.where(Membership.organization_id == g.organization.id, User.id != current_user.id)
    return render(
        "organizations/ownership.html",
        "ownership",
        status=status,
        form=form or DeletionForm(expected=g.organization.name, formdata=None),
        others=db.session.execute(query.order_by(func.lower(User.name)).limit(500)).all(),
        contents=ending.contents(g.organization),
    )
