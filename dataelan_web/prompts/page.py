"""What every page of one prompt needs, and its address."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, g, url_for
from sqlalchemy.orm import contains_eager

from .. import access
from ..models import Project, Template
from ..web import render
from . import labels, proposals


def visible(id: uuid.UUID) -> Template:
    return access.visible(Template, id, contains_eager(Template.project))


def editable(id: uuid.UUID) -> Template:
    return access.editable(Template, id, contains_eager(Template.project))


def show(
    template: Template, file: str, tab: str, fragment: str | None = None, status: int = 200, **context: Any
) -> Response:
    """A page of a prompt, under one of its tabs."""
    project: Project = template.project
    g.project = project
    page = {
        "template": template,
        "project": project,
        "tab": tab,
        "labels": labels.of(template),
        "open_proposals": proposals.count_open(template),
        "can_edit": access.may(access.EDIT, template),
        "may_protect": access.may(access.ADMINISTER, template),
        "crumbs": [
            (project.name, url_for("projects.show", id=project.id)),
            ("Prompts", url_for("prompts.index", project_id=project.id)),
        ],
        **context,
    }
    return render(f"prompts/{file}", fragment, status=status, **page)
