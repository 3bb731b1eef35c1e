"""How calls begin and end, in the words of their rows, of the receipt and of a model's health."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from ..models import Attempt, Outcome, Payer, new_id, now, records
from ..models.journal import COUNTERS
from ..models.records import AttemptRecord, RunRecord
from ..router.candidates import Candidate
from ..router.health import Observation, kind_for_health, work_of
from ..router.plan import Step
from ..router.run import Result
from ..router.types import OUR_OWN, Fate, Kind, Task, Usage
from .bill import Bill
from .measures import to_json

_OF_THE_LAST = "provider_id", "model_id", "api_key_id", "payer", "first_token_at", "measures", *COUNTERS


class Ended(NamedTuple):
    """How a call ended, to be written until it is."""

    candidate: Candidate
    result: Result
    values: dict[str, Any]
    tokens: int | None


def announced(execution: RunRecord, step: Step, number: int) -> AttemptRecord:
    """A call that is about to be made."""
    candidate, key = step.candidate, step.key
    return AttemptRecord(
        id=new_id(),
        execution_id=execution.id,
        number=execution.attempts_made + number,
        provider_id=candidate.provider_id,
        model_id=candidate.model_id,
        api_key_id=key.id,
        price_id=candidate.price_id,
        model_name=candidate.model,
        provider_name=candidate.provider,
        payer=Payer(key.payer),
    )


def ended(attempt: AttemptRecord, result: Result, bill: Bill, seconds: float) -> dict[str, Any]:
    """How a call ended after so many seconds, as columns of its row. The attempt gets them too."""
    failure, done, first = result.failure, result.done, result.first_token_at
    ended_at = attempt.started_at + timedelta(seconds=seconds)
    values: dict[str, Any] = {
        "outcome": outcome(result),
        "ended_at": ended_at,
        "first_token_at": max(ended_at - (now() - first), attempt.started_at) if first else None,
        "cost": bill.cost,
        "usage_is_estimated": bill.is_estimated,
        "job": None,
    }
    if failure:
        values |= {"error_kind": failure.kind.value, "error": failure.message, "status": failure.status}
    if done:
        values |= {"response_id": done.response_id[:200], "response_model": done.model[:200]}
    if bill.usage:
        values |= dict(zip(COUNTERS, bill.usage.counters, strict=True)) | {"measures": to_json(bill.usage)}
    records.note(attempt, **values)
    return values


def observed(
    attempt: AttemptRecord, step: Step, result: Result, usage: Usage | None, task: Task, seconds: float
) -> Observation:
    """What a call tells of the model's and the key's health."""
    failure = result.failure
    kind = kind_for_health(failure) if failure else None
    if failure and (failure.code == OUR_OWN or step.candidate.is_simulated):  # the latter fails as a prompt says
        kind = Kind.ABORTED
    return Observation(
        kind=kind,
        seconds=seconds,
        work=work_of(usage.output_total if usage and task is Task.CHAT else None),
        first_token_seconds=attempt.first_token_seconds,
        retry_after=failure.after if failure else None,
    )


def outcome(result: Result) -> Outcome:
    if result.failure is None:
        return Outcome.COMPLETED
    if result.failure.kind is Kind.ABORTED:
        return Outcome.CANCELLED
    return Outcome.INTERRUPTED if result.visible or result.failure.fate is Fate.UNKNOWN else Outcome.FAILED


def told(attempt: AttemptRecord, key: str = "") -> dict[str, Any]:
    """One attempt as the decision receipt shows it. Cost in nano-USD."""
    return {
        "number": attempt.number,
        "error": attempt.error,
        "status": attempt.status,
        "cost": attempt.cost,
        "model": f"{attempt.provider_name} / {attempt.model_name}",
        "key": key,
        "payer": attempt.payer.value,
        "outcome": attempt.outcome.value,
        "seconds": attempt.seconds,
        "estimated": attempt.usage_is_estimated,
    }


def summary(last: Attempt | AttemptRecord | None, costs: Sequence[int | None]) -> dict[str, Any]:
    """The narrow row's share: the last attempt speaks for speed and tokens, the cost is of all of them."""
    if last is None:
        return dict.fromkeys(_OF_THE_LAST) | {"measures": {}, "cost": 0}
    known = [cost for cost in costs if cost is not None]
    return records.values(last, _OF_THE_LAST) | {"cost": sum(known) if len(known) == len(costs) else None}
