from __future__ import annotations

from flask import Response, g, request, url_for
from sqlalchemy import select

from .. import access
from ..extensions import db
from ..models import Collaborator, Membership, Project, User
from ..projects.session_list import all_tags
from ..web import render, wants_fragment
from . import names, results
from .blueprint import bp
from .filters import Filters


@bp.get("/search")
def search() -> Response:
    filters, before = Filters.of(request.args), _shown_before()
    found = results.find(filters, before or 0)
    shown = len(found.hits) + (before or 0)
    further = {**filters.said, "after": found.further}
    began = filters.after if before is None else request.args.get("began", "")
    is_first = not began and bool(filters.q.strip()) and not filters.is_narrow
    return render(
        "search/search.html",
        "results" if before is None else "more",
        filters=filters,
        found=found,
        shown=shown,
        goes_on=before is not None,
        began=began,
        sessions=names.sessions(filters.q, 5) if is_first else [],
        projects=names.projects(filters.q, 3) if is_first else [],
        choices={} if wants_fragment() else _choices(),
        further_url=url_for("search.search", **further) if found.further else None,
        goes_on_url=url_for("search.search", **further, shown=shown, began=began),
    )


def _shown_before() -> int | None:
    """How many are on a page already that goes on with its search. None: it begins."""
    shown = request.args.get("shown", type=int) if wants_fragment() else None
    return shown if shown is None else min(max(shown, 0), results.PAGE)


def _choices() -> dict[str, list[tuple[str, str]]]:
    """What the filters offer: projects, people, tags."""
    projects = access.scoped(Project).with_only_columns(Project.id, Project.name).order_by(Project.name).limit(500)
    people = select(User.id, User.name).order_by(User.name).limit(500)
    here = Membership.organization_id == g.organization.id
    mine = access.scoped(Project).with_only_columns(Project.id)
    guests = select(Collaborator.user_id).where(Collaborator.project_id.in_(mine))
    if g.role is not None:
        people = people.where(User.id.in_(select(Membership.user_id).where(here)) | User.id.in_(guests))
    else:  # a guest knows the others of their own projects, not the whole organization
        people = people.where(User.id.in_(guests))
    return {
        "projects": [(str(id), name) for id, name in db.session.execute(projects)],
        "people": [(str(id), name) for id, name in db.session.execute(people)],
        "tags": [(name, name) for name in all_tags()],
    }
