"""What a call came to: its usage as reported or estimated, its cost, and the ledger's line for it."""

from __future__ import annotations

import logging
import uuid
from typing import NamedTuple

from .. import quota
from ..extensions import db
from ..models import Attempt
from ..models.records import AttemptRecord
from ..router import pricing
from ..router.parameters import may_think
from ..router.plan import Step
from ..router.run import Result
from ..router.types import Fate, Task, Usage
from .allowance import Allowance
from .answer import Answer
from .measures import counted_tokens, estimated, measured
from .unsaid import with_unsaid

log = logging.getLogger(__name__)


class Bill(NamedTuple):
    usage: Usage | None
    """What is charged; None: nothing is owed."""
    is_estimated: bool
    cost: int | None
    """Nano-USD; None: unknown."""
    tokens: int | None
    """What a limit of tokens counts; None: it was surely not sent, and no limit counts it at all."""

    @classmethod
    def of(cls, result: Result, allowance: Allowance, answer: Answer, step: Step, seconds: float) -> Bill:
        """`seconds`: how long it took."""
        rates = step.candidate.rates
        usage, is_estimated = _usage(result, allowance, answer, step, seconds)
        if usage is None:
            was_sent = result.failure is None or result.failure.sent
            return cls(None, False, 0, 0 if was_sent else None)
        cost = pricing.cost(usage, rates, allowance.prompt.media)
        if cost is None and allowance.held:  # nobody can say what it cost: the most it could
            cost, is_estimated = allowance.held, True
        tokens = counted_tokens(allowance.prompt, usage, rates)
        if is_estimated:  # what was held is the most that it can have come to
            cost, tokens = _within(cost, allowance.held), _within(tokens, allowance.held_tokens) or 0
        return cls(usage, is_estimated, cost, tokens)


def charge(organization_id: uuid.UUID, attempt: Attempt, tokens: int) -> None:
    """Settle what is held for an attempt with its cost and tokens, and write the ledger's line."""
    if quota.settle(db.session, attempt.id, line_for(organization_id, attempt, tokens)):
        note_overrun(attempt, tokens)


def line_for(organization_id: uuid.UUID, attempt: Attempt | AttemptRecord, tokens: int) -> quota.Charge:
    """The ledger's, of what a call came to."""
    note = "estimated" if attempt.usage_is_estimated else ""
    return quota.Charge(organization_id, attempt.payer, attempt.cost or 0, tokens, attempt.price_id, note)


def note_overrun(attempt: Attempt | AttemptRecord, tokens: int) -> None:
    """What came to more than was held is logged under a name of its own, to be counted; the count should be 0."""
    log.warning("quota.overrun attempt=%s cost=%s tokens=%s", attempt.id, attempt.cost, tokens)


def _usage(
    result: Result, allowance: Allowance, answer: Answer, step: Step, seconds: float
) -> tuple[Usage | None, bool]:
    """(what is charged, estimated?)"""
    if not _is_owed(result):
        return None, False
    prompt = allowance.prompt
    made = [kept.media_type for kept in answer.assets] if result.failure is None else []
    reported = measured(prompt, made, result.usage)
    is_counted = reported.input is not None and reported.output is not None
    if result.failure is None and (is_counted or (prompt.task is not Task.CHAT and reported.known)):
        return reported, False
    guess = estimated(prompt, reported, answer.said)
    if result.done and reported.output is not None:
        return guess, True
    thinks = may_think(prompt, step.candidate.abilities_at_most, step.candidate.kind)
    is_heard = result.failure is None or result.visible
    return with_unsaid(guess, prompt, step.pair, seconds, thinks=thinks, is_heard=is_heard), True


def _within(guess: int | None, held: int | None) -> int | None:
    return guess if guess is None or held is None else min(guess, held)


def _is_owed(result: Result) -> bool:
    """Nothing is, where the provider refused, never saw the request, or says that its job came to nothing."""
    refused = result.failure is not None and result.failure.fate is not Fate.UNKNOWN
    return not refused or result.visible or result.usage.known
