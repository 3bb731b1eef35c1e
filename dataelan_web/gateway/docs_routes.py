"""How programs use the gateway: the OpenAPI document for tools, and a page of the product to read and to try."""

from __future__ import annotations

import uuid

from flask import Response as FlaskResponse
from flask import jsonify, request

from .. import access
from ..api_errors import Api
from ..models import Project
from ..organizations.blueprint import inside_organization
from ..web import render
from . import openapi
from .blueprint import bp
from .calls import CALLS, LEARN, STEER

pages = inside_organization("gateway_docs", __name__)
OWNERS = {Api.OPENAI: "OpenAI", Api.ANTHROPIC: "Anthropic", Api.GEMINI: "Gemini", None: "Dataelan"}


@bp.get("/v1/openapi.json")
def openapi_document() -> FlaskResponse:
    """For everyone: it says what is in these pages, and nothing of anybody's."""
    return jsonify(openapi.document())


@pages.get("/projects/<uuid:id>/api")
def show(id: uuid.UUID) -> FlaskResponse:
    project = access.visible(Project, id)
    return render(
        "projects/api.html",
        project=project,
        calls=[(owner, [call for call in CALLS if call.api is api]) for api, owner in OWNERS.items()],
        tries=[call for call in CALLS if call.example or (call.method == "GET" and "{" not in call.path)],
        steer=STEER,
        learn=LEARN,
        host=request.host_url.rstrip("/"),
        can_edit=access.may(access.EDIT, project),
    )
