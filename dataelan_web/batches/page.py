"""What the pages of batches need, and their addresses."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Response, g, url_for
from sqlalchemy.orm import contains_eager, joinedload, selectinload

from .. import access
from ..models import Batch, ModelType, Project
from ..playground.options import model_options
from ..prompts.content import Content
from ..web import render
from . import scores

_WITH = (contains_eager(Batch.project), joinedload(Batch.template), selectinload(Batch.checks))


def visible(id: uuid.UUID) -> Batch:
    return access.visible(Batch, id, *_WITH)


def editable(id: uuid.UUID) -> Batch:
    return access.editable(Batch, id, *_WITH)


def address(batch: Batch) -> str:
    return url_for("batches.show", id=batch.id)


def show(
    project: Project, file: str, fragment: str | None = None, status: int = 200, batch: Batch | None = None, **more: Any
) -> Response:
    g.project = project
    crumbs = [(project.name, url_for("projects.show", id=project.id))]
    if batch is not None:
        crumbs.append(("Batches", url_for("batches.index", project_id=project.id)))
        more = {"content": Content.of(batch.content), **more}
    can_edit = access.may(access.EDIT, batch or project)
    known = {"project": project, "batch": batch, "crumbs": crumbs, "can_edit": can_edit, "checks": scores}
    return render(f"batches/{file}", fragment, status=status, **known, **more)


def models_for(batch: Batch) -> dict[str, Any]:
    return model_options(batch.project, ModelType(batch.content["model_type"]))
