"""Pages of the hub's settings: whose keys are used, and unknown prices."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import g, request, url_for
from werkzeug.wrappers import Response

from ... import access
from ...models import KeyStrategy, Project, UnknownPrice
from ...web import redirect, render, toast, with_toast
from ..blueprint import bp
from ..providers import overview
from . import paying
from .forms import HubSettingsForm


@bp.get("/hub/settings")
def hub_settings() -> Response:
    access.require(access.ADMINISTER)
    return _page(HubSettingsForm(formdata=None, obj=g.organization))


@bp.post("/hub/settings")
def change_settings() -> Response:
    access.require(access.ADMINISTER)
    form = HubSettingsForm()
    if not form.validate_on_submit():
        return _page(form, 422)
    paying.change(
        g.organization,
        KeyStrategy(form.key_strategy.data),
        UnknownPrice(form.unknown_price.data),
        form.unknown_price_ceiling.data,
    )
    return with_toast(_page(HubSettingsForm(formdata=None, obj=g.organization)), "Settings saved.", "good")


@bp.post("/hub/projects/<uuid:id>/platform-keys")
def change_project_keys(id: uuid.UUID) -> Response:
    """`is_allowed`: yes, or not there."""
    project = access.administered(Project, id)
    paying.allow_platform_keys(project, request.form.get("is_allowed") == "yes")
    word = "may use" if project.allows_platform_keys else "never uses"
    toast(f"{project.name} {word} the platform’s keys.", "good")
    return redirect(url_for("projects.show", id=project.id))


def _page(form: HubSettingsForm, status: int = 200) -> FlaskResponse:
    return render(
        "hub/settings.html", "settings", status=status, form=form, platform_providers=overview.platform_providers()
    )
