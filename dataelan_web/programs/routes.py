from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, g, request, url_for
from werkzeug.wrappers import Response

from .. import access
from ..accounts.lately import proven_lately
from ..extensions import db
from ..fields import id_in
from ..models import GatewayToken, Project, ServiceAccount
from ..once import done_once
from ..organizations.blueprint import inside_organization
from ..projects import tokens
from ..web import redirect, render, toast, with_toast
from . import keeping
from .forms import AccountForm, ServiceTokenForm

bp = inside_organization("programs", __name__)


@bp.get("/service-accounts")
def index() -> Response:
    access.require(access.ADMINISTER)
    return _index(AccountForm(formdata=None))


@bp.post("/service-accounts")
@proven_lately
@done_once()
def create() -> Response:
    access.require(access.ADMINISTER)
    form = AccountForm()
    if not form.validate_on_submit():
        return _index(form, 422)
    try:
        account = keeping.create(str(form.name.data), form.description.data or "")
    except keeping.Taken:
        form.name.errors = ["There is a service account of this name already."]
        return _index(form, 422)
    return redirect(url_for("programs.show", id=account.id))


@bp.get("/service-accounts/<uuid:id>")
def show(id: uuid.UUID) -> Response:
    return _show(access.administered(ServiceAccount, id))


@bp.post("/service-accounts/<uuid:id>")
def change(id: uuid.UUID) -> Response:
    account, form = access.administered(ServiceAccount, id), AccountForm()
    if not form.validate_on_submit():
        return _show(account, 422, problem="A service account needs a name of at most 100 characters.")
    try:
        keeping.change(account, str(form.name.data), form.description.data or "")
    except keeping.Taken:
        return _show(access.administered(ServiceAccount, id), 422, problem="Another service account has this name.")
    return with_toast(_show(account), "Saved.", "good")


@bp.post("/service-accounts/<uuid:id>/state")
def state(id: uuid.UUID) -> Response:
    account = access.administered(ServiceAccount, id)
    is_enabled = request.form.get("is_enabled") == "yes"
    keeping.set_enabled(account, is_enabled)
    said = "Its tokens are taken again." if is_enabled else "Its tokens are refused from now on."
    return with_toast(_show(account), said, "good")


@bp.post("/service-accounts/<uuid:id>/deletion")
def delete(id: uuid.UUID) -> Response:
    account = access.administered(ServiceAccount, id)
    keeping.delete(account)
    toast(f"{account.name} is gone, and its tokens are refused.", "good")
    return redirect(url_for("programs.index"))


@bp.post("/service-accounts/<uuid:id>/tokens")
@proven_lately
@done_once(tells_secret=True)
def issue(id: uuid.UUID) -> Response:
    account, form = access.administered(ServiceAccount, id), _token_form()
    project = access.administered(Project, id_in(request.form.get("project")))
    if not form.validate_on_submit() or not form.knows(project):
        return _show(account, 422, form=form)
    scope = tokens.Scoped(form.names, form.days, form.budget.data)
    token, secret = tokens.issue(project, str(form.label.data), scope, account)
    db.session.commit()
    return _show(account, 201, secret=secret, first=tokens.first_call(token))


@bp.post("/service-accounts/<uuid:id>/tokens/<uuid:token_id>/rotation")
@proven_lately
@done_once(tells_secret=True)
def rotate(id: uuid.UUID, token_id: uuid.UUID) -> Response:
    account, token = _both(id, token_id)
    secret = tokens.rotate(token, request.form.get("grace", "24"))
    db.session.commit()
    return _show(account, secret=secret, rotated=token)


@bp.post("/service-accounts/<uuid:id>/tokens/<uuid:token_id>/revocation")
def revoke(id: uuid.UUID, token_id: uuid.UUID) -> Response:
    account, token = _both(id, token_id)
    tokens.revoke(token)
    db.session.commit()
    return with_toast(_show(account), f"“{token.label}” is refused from now on.", "good")


def _both(id: uuid.UUID, token_id: uuid.UUID) -> tuple[ServiceAccount, GatewayToken]:
    account, token = access.administered(ServiceAccount, id), access.administered(GatewayToken, token_id)
    if token.service_account_id != account.id:
        abort(404)
    return account, token


def _index(form: AccountForm, status: int = 200) -> FlaskResponse:
    return render("programs/index.html", "accounts", status=status, accounts=keeping.listed(), form=form)


def _show(
    account: ServiceAccount, status: int = 200, form: ServiceTokenForm | None = None, **context: Any
) -> FlaskResponse:
    return render(
        "programs/show.html",
        "account",
        status=status,
        account=account,
        tokens=tokens.lines(GatewayToken.service_account_id == account.id),
        projects=dict(_projects()),
        form=form or _token_form(formdata=None),
        graces=tokens.GRACES,
        base_url=f"{request.host_url}v1",
        crumbs=[("Service accounts", url_for("programs.index"))],
        **context,
    )


def _token_form(**options: Any) -> ServiceTokenForm:
    return ServiceTokenForm(projects=_projects(), **options)


def _projects() -> list[tuple[str, str]]:
    here = access.scoped(Project).order_by(Project.name).limit(500)
    return [(str(one.id), one.name) for one in db.session.scalars(here)] if g.organization else []
