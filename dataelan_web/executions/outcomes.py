"""How calls ended, in the words of their rows and of the receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..models import Attempt, Outcome
from ..models.journal import COUNTERS
from ..router.candidates import Candidate
from ..router.run import Result
from ..router.types import Fate, Kind


@dataclass(frozen=True)
class Ended:
    """How a call ended, to be written until it is."""

    candidate: Candidate
    result: Result
    values: dict[str, Any]
    tokens: int | None


def outcome(result: Result) -> Outcome:
    if result.failure is None:
        return Outcome.COMPLETED
    if result.failure.kind is Kind.ABORTED:
        return Outcome.CANCELLED
    return Outcome.INTERRUPTED if result.visible or result.failure.fate is Fate.UNKNOWN else Outcome.FAILED


def told(attempt: Attempt, key: str = "") -> dict[str, Any]:
    """One attempt as the decision receipt shows it. Cost in nano-USD."""
    return {
        "number": attempt.number,
        "model": f"{attempt.provider_name} / {attempt.model_name}",
        "key": key,
        "payer": attempt.payer.value,
        "outcome": attempt.outcome.value,
        "error": attempt.error,
        "status": attempt.status,
        "seconds": attempt.seconds,
        "cost": attempt.cost,
        "estimated": attempt.usage_is_estimated,
    }


def summary(last: Attempt | None, costs: Sequence[int | None]) -> dict[str, Any]:
    """The narrow row's share: the last attempt speaks for speed and tokens, the cost is of all of them."""
    names = ("provider_id", "model_id", "api_key_id", "payer", "first_token_at", "measures", *COUNTERS)
    if last is None:
        return dict.fromkeys(names) | {"measures": {}, "cost": 0}
    known = [cost for cost in costs if cost is not None]
    return {name: getattr(last, name) for name in names} | {"cost": sum(known) if len(known) == len(costs) else None}
