"""Failures in the form of OpenAI's API, which its clients turn into their own exceptions."""

from __future__ import annotations

from typing import Any

from ..router.plan import NO_SUCH_MODEL
from ..router.types import Failure, Kind

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


KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 409: "conflict_error"}


class Refused(Exception):
    """A request that is not run at all."""

    def __init__(self, status: int, message: str, code: str = "", param: str | None = None):
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    @property
    def body(self) -> dict[str, Any]:
        kind = KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code or None}}


def of(failure: Failure) -> tuple[int, dict[str, Any]]:
    """(HTTP status, body) of a failed execution."""
    status, kind = (404, "not_found_error") if failure.code == NO_SUCH_MODEL else STATUS[failure.kind]
    code = "context_length_exceeded" if failure.kind is Kind.CONTEXT_TOO_LONG else failure.code or failure.kind.value
    return status, {"error": {"message": failure.message, "type": kind, "param": None, "code": code}}
