"""An error in the form of the API that was called: OpenAI's, Anthropic's or Gemini's, as their clients read them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from werkzeug.datastructures import Headers

GEMINI_PATH = "/v1beta/"
GEMINI_VERBS = (":generateContent", ":streamGenerateContent", ":countTokens")
PATHS = ("/v1/", GEMINI_PATH)
"""Where programs call; everything else is pages."""


class Api(StrEnum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


@dataclass(frozen=True)
class Problem:
    """Why a call is not answered. `kind` is OpenAI's word for it (`type`), `param` the field that is at fault, `url` a
    page where a person can do something about it."""

    status: int
    message: str
    kind: str = ""
    code: str = ""
    param: str | None = None
    url: str = ""
    is_final: bool = False
    """Clients should not send it again by themselves."""


KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 409: "conflict_error",
         429: "rate_limit_error"}  # fmt: skip
ANTHROPICS = {401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
              413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error"}  # fmt: skip
GEMINIS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 402: "FAILED_PRECONDITION", 403: "PERMISSION_DENIED",
           404: "NOT_FOUND", 409: "ABORTED", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL",
           501: "UNIMPLEMENTED", 504: "DEADLINE_EXCEEDED"}  # fmt: skip


def api_of(path: str, headers: Headers) -> Api:
    """Whose call it is. The lists of models, which several have at one address, are in the form of whoever asks."""
    if path.startswith(GEMINI_PATH) or path.endswith(GEMINI_VERBS):
        return Api.GEMINI
    if path.startswith("/v1/messages"):
        return Api.ANTHROPIC
    if path.startswith("/v1/models"):
        if "anthropic-version" in headers:
            return Api.ANTHROPIC
        return Api.GEMINI if "x-goog-api-key" in headers else Api.OPENAI
    return Api.OPENAI


def body_of(problem: Problem, api: Api, request_id: str = "") -> dict[str, Any]:
    """`request_id`: the name of this request (request_ids), which Anthropic tells beside an error."""
    named = {"request_id": request_id} if request_id and api is Api.ANTHROPIC else {}
    return _BODIES[api](problem) | named


def _openai(problem: Problem) -> dict[str, Any]:
    server = "server_error" if problem.status >= 500 else "invalid_request_error"
    kind = problem.kind or KINDS.get(problem.status, server)
    error = {"message": problem.message, "type": kind, "param": problem.param, "code": problem.code or None}
    return {"error": error | ({"url": problem.url} if problem.url else {})}


def _anthropic(problem: Problem) -> dict[str, Any]:
    """Its errors have no code and no field; ours stand beside, where clients that do not know them pass over them."""
    kind = ANTHROPICS.get(problem.status, "api_error" if problem.status >= 500 else "invalid_request_error")
    more = {"code": problem.code, "param": problem.param, "url": problem.url}
    error = {"type": kind, "message": problem.message} | {name: value for name, value in more.items() if value}
    return {"type": "error", "error": error}


def _gemini(problem: Problem) -> dict[str, Any]:
    status = GEMINIS.get(problem.status, "UNAVAILABLE" if problem.status >= 500 else "INVALID_ARGUMENT")
    error: dict[str, Any] = {"code": problem.status, "message": problem.message, "status": status}
    details: list[dict[str, Any]] = []
    if problem.code:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "dataelan"}
        details.append(info | {"reason": problem.code.upper()})
    if problem.param:
        violation = {"field": problem.param, "description": problem.message}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    if problem.url:
        links = [{"description": "What can be done about it", "url": problem.url}]
        details.append({"@type": "type.googleapis.com/google.rpc.Help", "links": links})
    return {"error": error | ({"details": details} if details else {})}


_BODIES = {Api.OPENAI: _openai, Api.ANTHROPIC: _anthropic, Api.GEMINI: _gemini}
