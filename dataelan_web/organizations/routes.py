from __future__ import annotations

import uuid
from typing import Any

from flask import Response as FlaskResponse
from flask import g
from werkzeug.wrappers import Response

from .. import access, currencies
from ..limits import glance
from ..models import ModelType, Summaries
from ..playground.options import model_options
from ..projects.lists import projects_with_totals, recent_sessions
from ..projects.totals import this_month
from ..web import render, with_toast
from . import abilities, settings
from .blueprint import inside_organization
from .forms import SettingsForm

bp = inside_organization("organizations", __name__)


@bp.get("/")
def home() -> Response:
    projects = projects_with_totals()
    return render(
        "organizations/home.html",
        project=projects[0] if projects else None,
        projects=projects,
        sessions=recent_sessions(),
        glances=glance.at_home(),
        stats=this_month(g.organization) if access.may(access.SEE) else None,  # not for a guest of one project
        model_options=model_options(projects[0].project) if projects else [],
        chosen=projects[0].project.first_settings(ModelType.TEXT).get("model") if projects else None,
    )


@bp.get("/help/roles")
def help_roles() -> Response:
    """What each role and each kind of organization may do."""
    return render(
        "organizations/help.html",
        roles=abilities.ROLES,
        guests=abilities.GUESTS,
        abilities=abilities.ABILITIES,
        kinds=abilities.KINDS,
        kind_abilities=abilities.KIND_ABILITIES,
        my_role=g.role,
    )


@bp.get("/settings")
def show_settings() -> Response:
    access.require(access.ADMINISTER)
    return _settings(_form_as_it_is())


@bp.post("/settings")
def change_settings() -> Response:
    access.require(access.ADMINISTER)
    form = _form()
    if not form.validate_on_submit():
        return _settings(form, 422)
    kept = form.words_kept_days.data, form.runs_kept_days.data, form.audit_kept_days.data
    if not form.is_sure.data and (lost := settings.lost(g.organization, *kept)):
        return _settings(form, 422, lost)
    settings.change(
        g.organization,
        name=form.name.data,
        time_zone=form.time_zone.data,
        default_rule_id=uuid.UUID(form.default_rule.data) if form.default_rule.data else None,
        allowed_providers=sorted(form.allowed_providers.data or []),
        words_kept_days=kept[0],
        runs_kept_days=kept[1],
        audit_kept_days=kept[2],
        summaries=Summaries(form.summaries.data),
        currency=form.currency.data or None,
        currency_rate=form.rate,
    )
    return with_toast(_settings(_form_as_it_is()), "Settings saved.", "good")


def _form(**options: Any) -> SettingsForm:
    here = g.organization
    choices = {"rules": settings.rules(here), "providers": settings.providers(here)}
    return SettingsForm(current_zone=here.time_zone, **choices, **options)


def _form_as_it_is() -> SettingsForm:
    rule, rate = g.organization.default_rule_id, g.organization.currency_rate
    said = {"default_rule": str(rule) if rule else "", "per_usd": currencies.plain(rate) if rate else ""}
    return _form(formdata=None, obj=g.organization, data=said | {"currency": g.organization.currency or ""})


def _settings(form: SettingsForm, status: int = 200, lost: str = "") -> FlaskResponse:
    return render("organizations/settings.html", "settings", status=status, form=form, lost=lost)
