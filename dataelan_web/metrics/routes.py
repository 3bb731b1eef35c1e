"""`GET /metrics`, for who says the operator's token; without one there is no such address."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, abort, current_app, request

from . import standing, text

bp = Blueprint("metrics", __name__)


@bp.get("/metrics")
def show() -> Response:
    token: str = current_app.extensions["dataelan_settings"].metrics_token
    if not token:
        abort(404)
    scheme, _, said = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(said.strip().encode(), token.encode()):
        answer = Response("Send the operator's token: `Authorization: Bearer …`.\n", 401, mimetype="text/plain")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    return Response(text.written(standing.everything()), content_type=text.MEDIA_TYPE)
