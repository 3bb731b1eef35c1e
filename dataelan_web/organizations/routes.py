from __future__ import annotations

from flask import g
from werkzeug.wrappers import Response

from .. import access
from ..limits import glance
from ..playground.options import model_options
from ..projects.lists import projects_with_totals, recent_sessions
from ..projects.totals import this_month
from ..web import render
from .blueprint import inside_organization

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
