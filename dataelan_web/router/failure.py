"""What can go wrong with a request, in our words: a Failure, its Kind and its Fate."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """Classes of failure; each has one policy (see ADVICE)."""

    BAD_REQUEST = "bad_request"
    CREDENTIAL = "credential"
    RATE_LIMIT = "rate_limit"
    BILLING = "billing"
    TRANSIENT = "transient"
    CONTENT_POLICY = "content_policy"
    CONTEXT_TOO_LONG = "context_too_long"
    ABORTED = "aborted"


class Advice(StrEnum):
    RETRY = "retry the same candidate"
    NEXT_KEY = "try another key"
    NEXT_MODEL = "try the next model"
    STOP = "stop"


ADVICE: Mapping[Kind, Advice] = {
    Kind.BAD_REQUEST: Advice.NEXT_MODEL,
    Kind.CREDENTIAL: Advice.NEXT_KEY,
    Kind.RATE_LIMIT: Advice.NEXT_KEY,
    Kind.BILLING: Advice.NEXT_KEY,
    Kind.TRANSIENT: Advice.RETRY,
    Kind.CONTENT_POLICY: Advice.STOP,
    Kind.CONTEXT_TOO_LONG: Advice.NEXT_MODEL,
    Kind.ABORTED: Advice.STOP,
}


class Fate(StrEnum):
    """What became of a request that failed."""

    NOT_TAKEN = "not taken"
    """Never sent, or turned away before anything was begun: it may be sent again."""
    FAILED = "failed"
    """The provider itself says that it came to nothing: another model may be asked."""
    UNKNOWN = "unknown"
    """It may be done, and charged, unheard: nobody is asked by itself."""


OUR_OWN, JOB_FAILED = "dataelan_failed", "job_failed"
"""Codes of a Failure: one that says nothing about the provider, and a job that the provider says came to nothing."""


class Failure(Exception):
    """Why an attempt failed, in our words.

    `message` is fit to show to a person and never holds a key. `after` is the provider's own wish in
    seconds (Retry-After). `sent` is False only when the request surely never reached the provider. `refused` names
    the parameter that this model does not take, where that is why (parameters.REFUSABLE). `told` is what an answer with
    an error says of the request (`fate`). `param` is the field that is at fault, in the words of who says so.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        after: float | None = None,
        sent: bool = True,
        refused: str = "",
        told: Fate = Fate.FAILED,
        param: str = "",
    ):
        super().__init__(message)
        self.kind, self.message, self.status, self.code, self.after, self.sent, self.refused, self.told = (
            kind, message, status, code, after, sent, refused, told,
        )  # fmt: skip
        self.param = param

    @property
    def advice(self) -> Advice:
        return ADVICE[self.kind]

    @property
    def fate(self) -> Fate:
        """What became of the request. Silence and a broken line tell nothing."""
        if not self.sent:
            return Fate.NOT_TAKEN
        if self.code == JOB_FAILED:
            return Fate.FAILED
        return Fate.UNKNOWN if self.status is None else self.told
