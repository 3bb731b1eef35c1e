"""Pages of an organization's webhooks, for its owners and admins. A secret is shown once."""

from __future__ import annotations

import json
import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import abort, g, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from .. import access, place
from ..extensions import db
from ..models import Delivery, User, Webhook
from ..notify import deliver, posting, webhooks
from ..notify.kinds import FOR_PROGRAMS, kind_of
from ..notify.result import Result
from ..notify.tell import in_order
from ..once import done_once
from ..web import redirect, render, toast, with_toast
from . import lists
from .blueprint import bp
from .forms import WebhookForm


@bp.get("/webhooks")
def webhooks_page() -> Response:
    access.require(access.ADMINISTER)
    return _list()


@bp.post("/webhooks")
@done_once(tells_secret=True)
def webhook_create() -> Response:
    access.require(access.ADMINISTER)
    form = WebhookForm()
    if not form.validate_on_submit():
        return _list(422, form=form)
    try:
        made, secret = webhooks.create(
            g.organization, current_user.id, str(form.label.data), str(form.url.data), form.wanted()
        )
    except (posting.AddressRefused, webhooks.TooMany) as refused:
        form.url.errors = [str(refused)]
        return _list(422, form=form)
    return _list(201, made=made, secret=secret)


@bp.get("/webhooks/<uuid:id>")
def webhook(id: uuid.UUID) -> Response:
    """`before`: its deliveries before this one."""
    return _page(access.administered(Webhook, id))


@bp.post("/webhooks/<uuid:id>/settings")
@done_once(tells_secret=True)
def webhook_change(id: uuid.UUID) -> Response:
    webhook, form = access.administered(Webhook, id), WebhookForm()
    if not form.validate_on_submit():
        return _page(webhook, 422, form=form)
    try:
        secret = webhooks.change(webhook, str(form.label.data), str(form.url.data), form.wanted())
    except posting.AddressRefused as refused:
        form.url.errors = [str(refused)]
        return _page(webhook, 422, form=form)
    return with_toast(_page(webhook, secret=secret), f"“{webhook.label}” was changed.", "good")


@bp.post("/webhooks/<uuid:id>/secret")
@done_once(tells_secret=True)
def webhook_rotate(id: uuid.UUID) -> Response:
    webhook = access.administered(Webhook, id)
    return _page(webhook, secret=webhooks.rotate(webhook))


@bp.post("/webhooks/<uuid:id>/state")
def webhook_state(id: uuid.UUID) -> Response:
    """`is_enabled`: yes or no."""
    webhook = access.administered(Webhook, id)
    webhooks.set_enabled(webhook, request.form.get("is_enabled") == "yes")
    word = "is told again" if webhook.is_enabled else "is switched off: it is told nothing"
    return with_toast(_page(webhook), f"“{webhook.label}” {word}.", "good")


@bp.post("/webhooks/<uuid:id>/deletion")
def webhook_deletion(id: uuid.UUID) -> Response:
    webhook = access.administered(Webhook, id)
    webhooks.delete(webhook, current_user.id)
    toast(f"“{webhook.label}” is in the trash. It is told nothing.", undo=place.undo_url("webhook", id))
    return redirect(url_for("notices.webhooks_page"))


@bp.post("/webhooks/<uuid:id>/test")
@done_once()
def webhook_test(id: uuid.UUID) -> Response:
    webhook = access.administered(Webhook, id)
    return _page(webhook, result=deliver.send_test(webhook))


@bp.post("/webhooks/<uuid:id>/deliveries/<uuid:delivery_id>/retry")
@done_once()
def webhook_retry(id: uuid.UUID, delivery_id: uuid.UUID) -> Response:
    webhook = access.administered(Webhook, id)
    delivery = access.administered(Delivery, delivery_id)
    if delivery.webhook_id != webhook.id:
        abort(404)
    return _page(webhook, result=deliver.again(delivery), opened=delivery.id)


def _list(status: int = 200, **context: Any) -> FlaskResponse:
    """`made` and `secret`: of a webhook that is new."""
    page: dict[str, Any] = {
        "webhooks": lists.webhooks(),
        "form": WebhookForm(formdata=None),
        "kinds": FOR_PROGRAMS,
        "kind_of": kind_of,
    }
    return render("notices/webhooks.html", "webhooks", status=status, **(page | context))


def _page(webhook: Webhook, status: int = 200, result: Result | None = None, **context: Any) -> FlaskResponse:
    """`secret`: a new one. `opened`: the delivery to show unfolded."""
    before = request.args.get("before", type=uuid.UUID)
    deliveries, older = lists.deliveries(webhook, before)
    page: dict[str, Any] = {
        "webhook": webhook,
        "result": result,
        "deliveries": deliveries,
        "older_url": url_for("notices.webhook", id=webhook.id, before=older) if older else None,
        "form": WebhookForm.of(webhook),
        "kinds": FOR_PROGRAMS,
        "kind_of": kind_of,
        "creator": db.session.get(User, webhook.created_by) if webhook.created_by else None,
        "overlap_ends_at": webhooks.overlap_ends_at(webhook),
        "pretty": lambda payload: json.dumps(in_order(payload), indent=2, ensure_ascii=False),
        "message_id": deliver.message_id,
        "crumbs": [("Webhooks", url_for("notices.webhooks_page"))],
    }
    fragment = "older" if before else "webhook"
    return render("notices/webhook.html", fragment, status=status, **(page | context))
