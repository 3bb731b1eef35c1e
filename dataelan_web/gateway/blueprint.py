"""Where programs call. Gemini's clients put its version before the path, OpenAI's and Anthropic's `/v1`."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, make_response

from . import errors

bp = Blueprint("gateway", __name__)


@bp.errorhandler(errors.Refused)
def refused(error: errors.Refused) -> Response:
    response = make_response(jsonify(errors.told(error.problem)), error.problem.status)
    if error.after:
        response.headers["Retry-After"] = str(round(error.after))
    return response
