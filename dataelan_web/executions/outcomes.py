"""How calls begin and end, in the words of their rows, of the receipt and of a model's health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..models import Attempt, Execution, Outcome, Payer, new_id, now, records
from ..models.journal import COUNTERS
from ..router.candidates import Candidate
from ..router.health import Observation, kind_for_health, work_of
from ..router.plan import Step
from ..router.run import Result
from ..router.types import OUR_OWN, Fate, Kind, Task, Usage
from .bill import Bill
from .measures import to_json


@dataclass(frozen=True)
class Ended:
    """How a call ended, to be written until it is."""

    candidate: Candidate
    result: Result
    values: dict[str, Any]
    tokens: int | None


def announced(execution: Execution, step: Step, number: int) -> Attempt:
    """The row of a call that is about to be made."""
    return records.record(
        Attempt,
        id=new_id(),
        execution_id=execution.id,
        number=execution.attempts_made + number,
        provider_id=step.candidate.provider_id,
        model_id=step.candidate.model_id,
        api_key_id=step.key.id,
        price_id=step.candidate.price_id,
        model_name=step.candidate.model,
        provider_name=step.candidate.provider,
        payer=Payer(step.key.payer),
        outcome=Outcome.SENT,
        error="",
        response_id="",
        response_model="",
        measures={},
    )


def ended(attempt: Attempt, result: Result, bill: Bill, seconds: float) -> dict[str, Any]:
    """How a call ended after so many seconds, as columns of its row, which gets them too."""
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
    attempt: Attempt, step: Step, result: Result, usage: Usage | None, task: Task, seconds: float
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


def told(attempt: Attempt, key: str = "") -> dict[str, Any]:
    """One attempt as the decision receipt shows it. Cost in nano-USD."""
    said = records.values(attempt, ("number", "error", "status", "cost"))
    return said | {
        "model": f"{attempt.provider_name} / {attempt.model_name}",
        "key": key,
        "payer": attempt.payer.value,
        "outcome": attempt.outcome.value,
        "seconds": attempt.seconds,
        "estimated": attempt.usage_is_estimated,
    }


def summary(last: Attempt | None, costs: Sequence[int | None]) -> dict[str, Any]:
    """The narrow row's share: the last attempt speaks for speed and tokens, the cost is of all of them."""
    names = ("provider_id", "model_id", "api_key_id", "payer", "first_token_at", "measures", *COUNTERS)
    if last is None:
        return dict.fromkeys(names) | {"measures": {}, "cost": 0}
    known = [cost for cost in costs if cost is not None]
    return records.values(last, names) | {"cost": sum(known) if len(known) == len(costs) else None}
