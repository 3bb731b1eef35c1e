"""What an attempt may cost: the most it can, held against every limit that applies before it is sent.

Where that is more than is left, the output is lowered to what can be paid. It is never let through with a
smaller hold.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from .. import quota
from ..extensions import db
from ..models import Budget, Execution, Payer
from ..router import pricing
from ..router.candidates import token_bound
from ..router.plan import Step
from ..router.pricing import Rates
from ..router.run import limited
from ..router.types import Failure, Kind, Prompt

OUTPUT_LIMIT = 8192
"""Output tokens assumed, and asked for, where a limit applies and neither person nor model names one."""
FEWEST = 16
"""Under so many affordable output tokens an answer is not worth starting."""
TRIES = 3
"""What is left may shrink while we look."""


@dataclass(frozen=True)
class Allowance:
    """The prompt as it may be sent; a notice when its output was lowered; whether money is held for it."""

    prompt: Prompt
    notice: str = ""
    is_held: bool = False


def reserve(execution: Execution, attempt_id: uuid.UUID, step: Step, prompt: Prompt) -> Allowance:
    """Raises Failure or quota.OverLimit."""
    rates = step.candidate.rates
    if rates is not None and rates.is_free:
        return Allowance(prompt)
    budgets = quota.applicable(db.session, _subjects(execution, step))
    if not budgets:
        return Allowance(prompt)
    if rates is None:
        raise Failure(
            Kind.BILLING,
            f"The price of {step.candidate.label} is unknown and a limit applies, so its cost cannot be held to it."
            " Set a price, or choose a priced model.",
            sent=False,
        )
    wanted = prompt.max_tokens or min(step.candidate.max_output_tokens or OUTPUT_LIMIT, OUTPUT_LIMIT)
    allowed, notice = _hold(budgets, execution.id, attempt_id, rates, token_bound(prompt), wanted)
    return Allowance(limited(prompt, allowed), notice, is_held=True)


def _hold(
    budgets: Sequence[Budget], execution_id: uuid.UUID, attempt_id: uuid.UUID, rates: Rates, size: int, wanted: int
) -> tuple[int, str]:
    """(output tokens paid for, notice). Raises quota.OverLimit when too few could be."""
    allowed, notice = wanted, ""
    for final in (*[False] * (TRIES - 1), True):
        try:
            with db.session.begin_nested():
                amount = pricing.upper_bound(size, allowed, rates)
                quota.reserve(db.session, budgets, execution_id, attempt_id, amount)
        except quota.OverLimit as over:
            affordable = pricing.affordable_output(size, over.left, rates)
            if final or affordable is None or affordable >= allowed or affordable < min(FEWEST, wanted):
                raise
            allowed = affordable
            notice = f"The answer is limited to {allowed:,} tokens: more could not be paid. {over.message}"
        else:
            break
    return allowed, notice


def _subjects(execution: Execution, step: Step) -> quota.Subjects:
    return quota.Subjects(
        execution.organization_id,
        execution.project_id,
        execution.user_id,
        execution.token_id,
        step.key.id,
        step.candidate.provider_id,
        step.candidate.model_id,
        Payer(step.key.payer),
    )
