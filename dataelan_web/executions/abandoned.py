"""The attempts of a worker that is gone: closed by estimate, because they may have reached the provider."""

from __future__ import annotations

from ..extensions import db
from ..models import Attempt, Execution, Outcome, now
from ..router import pricing
from ..router.candidates import tokens_of
from ..router.types import Usage
from .candidates import rates_of
from .prompts import from_json
from .record import charge, estimated_tokens


def close_attempts(execution: Execution, text: str) -> None:
    """Settle what was left open: the whole prompt, and the `text` that had arrived."""
    for attempt in db.session.query(Attempt).filter_by(execution_id=execution.id, outcome=Outcome.SENT):
        attempt.outcome, attempt.ended_at, attempt.usage_is_estimated = Outcome.INTERRUPTED, now(), True
        attempt.error = "The worker that ran it stopped."
        attempt.tokens_input = tokens_of(from_json(execution.body.request))
        attempt.tokens_output = estimated_tokens(text)
        usage = Usage(input=attempt.tokens_input, output=attempt.tokens_output)
        attempt.cost = pricing.cost(usage, rates_of(attempt.price) if attempt.price else None)
        db.session.flush()
        charge(execution.organization_id, attempt)
