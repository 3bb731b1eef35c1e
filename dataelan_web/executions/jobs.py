"""A job that a provider works on, such as a film, kept with its attempt so that any worker can go on asking."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from ..models import Attempt, Execution, Outcome
from ..models.base import DbSession
from ..models.records import RunRecord
from ..router.types import Again, Call


def to_json(again: Again) -> dict[str, Any]:
    """Addresses and bodies only; the headers, with the key, are made anew."""
    kept = {"url": again.call.url, "method": again.call.method, "delay": again.delay}
    if again.call.body is not None:
        kept["body"] = dict(again.call.body)
    if again.cancel:
        kept["cancel"] = {"url": again.cancel.url, "method": again.cancel.method}
    return kept


def from_json(job: dict[str, Any]) -> Again:
    cancel = job.get("cancel")
    return Again(
        Call(job["url"], job.get("body"), method=job["method"]),
        job["delay"],
        Call(cancel["url"], method=cancel["method"]) if cancel else None,
    )


def left_behind(session: DbSession, execution: Execution | RunRecord) -> Attempt | None:
    """The attempt whose job the provider may still be working on."""
    return session.scalars(
        select(Attempt).where(
            Attempt.execution_id == execution.id, Attempt.outcome == Outcome.SENT, Attempt.job.is_not(None)
        )
    ).first()
