"""What goes wrong, as the API that was called says it (api_errors)."""

from __future__ import annotations

from typing import Any

from flask import g, request

from .. import api_errors
from ..api_errors import Api, Problem
from ..router.plan import NO_SUCH_MODEL
from ..router.types import Failure, Fate, Kind

STATUS = {
    Kind.BAD_REQUEST: (400, "invalid_request_error"),
    Kind.CREDENTIAL: (502, "provider_credential_error"),
    Kind.RATE_LIMIT: (429, "rate_limit_error"),
    Kind.BILLING: (402, "insufficient_quota"),
    Kind.TRANSIENT: (503, "provider_error"),
    Kind.CONTENT_POLICY: (400, "content_policy_violation"),
    Kind.CONTEXT_TOO_LONG: (400, "invalid_request_error"),
    Kind.ABORTED: (499, "cancelled"),
}
"""Our own credential trouble is a bad gateway, not the caller's 401: the caller's token is fine."""
UNHEARD = "It may have been charged all the same, so nothing was asked again by itself."


class Refused(Exception):
    """A request that is not run at all."""

    def __init__(self, status: int, message: str, code: str = "", param: str | None = None, after: float = 0):
        super().__init__(message)
        self.problem = Problem(status, message, code=code, param=param)
        self.after = after
        """Seconds until it may go better; 0: nobody knows."""

    @classmethod
    def of(cls, failure: Failure) -> Refused:
        refused = cls(400, failure.message)
        refused.problem = of(failure)
        return refused


def of(failure: Failure) -> Problem:
    """A failed execution. Of one whose fate is unknown the program decides, as a person would: `is_final` tells its
    client, which would else send it anew."""
    if failure.kind is Kind.TRANSIENT and failure.fate is Fate.UNKNOWN:
        return Problem(504, f"{failure.message} {UNHEARD}", "provider_error", "interrupted", is_final=True)
    is_missing = failure.code == NO_SUCH_MODEL or (failure.kind is Kind.BAD_REQUEST and failure.status == 404)
    status, kind = (404, "not_found_error") if is_missing else STATUS[failure.kind]
    code = "context_length_exceeded" if failure.kind is Kind.CONTEXT_TOO_LONG else failure.code or failure.kind.value
    return Problem(status, failure.message, kind, code, param=failure.param or None)


def told(problem: Problem) -> dict[str, Any]:
    """For whoever asks in this request."""
    return api_errors.body_of(problem, asked_by(), g.get("request_id", ""))


def asked_by() -> Api:
    return api_errors.api_of(request.path, request.headers)
