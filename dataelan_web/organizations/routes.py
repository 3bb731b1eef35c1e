from __future__ import annotations

from flask import Response as FlaskResponse
from flask import g
from werkzeug.wrappers import Response

from .. import access
from ..limits import glance
from ..models import Summaries
from ..playground.options import model_options
from ..projects.lists import projects_with_totals, recent_sessions
from ..projects.totals import this_month
from ..web import render, with_toast
from . import settings
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
    )


@bp.get("/settings")
def show_settings() -> Response:
    access.require(access.ADMINISTER)
    return _settings(_form_as_it_is())


@bp.post("/settings")
def change_settings() -> Response:
    access.require(access.ADMINISTER)
    form = SettingsForm(current_zone=g.organization.time_zone)
    if not form.validate_on_submit():
        return _settings(form, 422)
    kept = form.words_kept_days.data, form.runs_kept_days.data
    if not form.is_sure.data and (lost := settings.lost(g.organization, *kept)):
        return _settings(form, 422, lost)
    settings.change(g.organization, form.time_zone.data, *kept, Summaries(form.summaries.data))
    return with_toast(_settings(_form_as_it_is()), "Settings saved.", "good")


def _form_as_it_is() -> SettingsForm:
    return SettingsForm(formdata=None, obj=g.organization, current_zone=g.organization.time_zone)


def _settings(form: SettingsForm, status: int = 200, lost: str = "") -> FlaskResponse:
    return render("organizations/settings.html", "settings", status=status, form=form, lost=lost)
