"""Calls that limits refuse: what the router is told, and what the receipt says, so that a page can offer a way on."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from .. import quota
from ..models import Budget, Execution, Pace
from ..router.types import Failure, Kind

Refusal = quota.OverLimit | quota.RateExceeded | quota.RatesUnknown
REFUSALS = (quota.OverLimit, quota.RateExceeded, quota.RatesUnknown)


def failure_of(refusal: Failure | Refusal) -> Failure:
    """Nothing was sent. Another model or key may have a limit of its own left, so the plan goes on."""
    if isinstance(refusal, Failure):
        return refusal
    if isinstance(refusal, quota.OverLimit):
        return Failure(Kind.BILLING, refusal.message, code="over_limit", sent=False)
    if isinstance(refusal, quota.RateExceeded):
        after, code = refusal.retry_after, "rate_limit_exceeded"
        return Failure(Kind.RATE_LIMIT, refusal.message, code=code, after=after, sent=False)
    return Failure(Kind.TRANSIENT, refusal.message, code="limits_unknown", after=refusal.retry_after, sent=False)


def facts_of(refusal: Failure | Refusal) -> dict[str, Any]:
    """For the receipt: which limit, and how it stands. Amounts in its unit; `resets_at` in ISO 8601, None: never. Where
    nothing could be asked, no rate is named."""
    if isinstance(refusal, quota.OverLimit):
        budget = refusal.budget
        return {
            "budget": str(budget.id),
            "scope": budget.scope.value,
            "window": budget.window.value,
            "unit": budget.unit.value,
            "limit": refusal.limit,
            "left": refusal.left,
            "resets_at": refusal.ends_at.isoformat() if refusal.ends_at else None,
        }
    if isinstance(refusal, quota.RateExceeded):
        return {
            "rate": str(refusal.rate.id),
            "scope": refusal.scope.value,
            "pace": refusal.pace.value,
            "limit": refusal.limit,
            "retry_after": refusal.retry_after,
        }
    if isinstance(refusal, quota.RatesUnknown):
        return {"rate": None, "retry_after": refusal.retry_after}
    return {}


def end_of(attempts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What limits did to an execution, as its columns, from its receipt's attempts: nothing, unless they refused all
    of them. Then the budget that did is noted, and the same request may come again under its key: it never began."""
    if not _are_refused(attempts):
        return {}
    budget = attempts[0].get("budget")
    still_there = select(Budget.id).where(Budget.id == (uuid.UUID(budget) if budget else None))
    return {"refused_by": still_there.scalar_subquery(), "idempotency_key": None}


def stopped_by(run: Execution) -> tuple[uuid.UUID, Pace | None] | None:
    """The limit that stopped it: (a budget's id, None) or (a rate's id, which pace of it was met), as its receipt says.
    None: it failed of something else. Either may be gone."""
    if run.refused_by:
        return run.refused_by, None
    attempts = run.body.receipt.get("attempts", []) if run.error_kind == Kind.RATE_LIMIT else []
    rate = attempts[0].get("rate") if _are_refused(attempts) else None  # the first one's failure is what it failed of
    return (uuid.UUID(rate), Pace(attempts[0]["pace"])) if rate else None


def _are_refused(attempts: Sequence[dict[str, Any]]) -> bool:
    """Did limits refuse all that was tried?"""
    return bool(attempts) and all("budget" in attempt or "rate" in attempt for attempt in attempts)
