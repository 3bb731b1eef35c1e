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
from ..models import Budget, Execution, Organization, Payer, UnknownPrice
from ..router import pricing
from ..router.plan import Step
from ..router.pricing import Rates
from ..router.run import limited
from ..router.types import Failure, Kind, Prompt, Task
from .measures import most

OUTPUT_LIMIT = 8192
"""Output tokens assumed, and asked for, where a limit applies and neither person nor model names one."""
FEWEST = 16
"""Under so many affordable output tokens an answer is not worth starting."""
TRIES = 3
"""What is left may shrink while we look."""


@dataclass(frozen=True)
class Allowance:
    """The prompt as it may be sent; a notice when its output was lowered; what is held for it."""

    prompt: Prompt
    notice: str = ""
    held: int | None = None
    """Nano-USD that are held for it; None: nothing is, as no limit applies or it is free."""


@dataclass(frozen=True)
class Unpriced:
    """What an organization wants done with a call whose price nobody knows, where a limit applies."""

    policy: UnknownPrice
    ceiling: int | None
    """Nano-USD that such a call counts as, under CEILING."""

    @classmethod
    def of(cls, organization: Organization) -> Unpriced:
        return cls(organization.unknown_price, organization.unknown_price_ceiling)


def reserve(execution: Execution, attempt_id: uuid.UUID, step: Step, prompt: Prompt, unpriced: Unpriced) -> Allowance:
    """Raises Failure or quota.OverLimit."""
    rates = step.candidate.rates
    if rates is not None and rates.is_free:
        return Allowance(prompt)
    budgets = quota.applicable(db.session, _subjects(execution, step))
    if not budgets:
        return Allowance(prompt)
    if rates is None:
        return _of_unknown_price(execution, attempt_id, step, prompt, budgets, unpriced)
    wanted = prompt.max_tokens or min(step.candidate.max_output_tokens or OUTPUT_LIMIT, OUTPUT_LIMIT)
    size, output = most(prompt, wanted)
    allowed, held, notice = _hold(budgets, execution.id, attempt_id, rates, size, output, prompt.task is Task.CHAT)
    return Allowance(limited(prompt, allowed) if prompt.task is Task.CHAT else prompt, notice, held)


def _of_unknown_price(
    execution: Execution,
    attempt_id: uuid.UUID,
    step: Step,
    prompt: Prompt,
    budgets: Sequence[Budget],
    unpriced: Unpriced,
) -> Allowance:
    """As the organization wishes: refuse (the default), count it as its ceiling for one call, or let it through."""
    if unpriced.policy is UnknownPrice.ALLOW:
        return Allowance(prompt, f"The price of {step.candidate.label} is unknown: no limit counts this call.")
    if unpriced.policy is UnknownPrice.CEILING and (ceiling := unpriced.ceiling):
        quota.reserve(db.session, budgets, execution.id, attempt_id, ceiling)
        notice = f"The price of {step.candidate.label} is unknown: it is counted as {quota.usd(ceiling)}."
        return Allowance(prompt, notice, ceiling)
    raise Failure(
        Kind.BILLING,
        f"The price of {step.candidate.label} is unknown and a limit applies, so its cost cannot be held to it."
        " Set a price, choose a priced model, or change what happens to unknown prices in the Model Hub's settings.",
        sent=False,
    )


def _hold(
    budgets: Sequence[Budget],
    execution_id: uuid.UUID,
    attempt_id: uuid.UUID,
    rates: Rates,
    size: pricing.Most,
    wanted: int,
    may_lower: bool,
) -> tuple[int, int, str]:
    """(output tokens paid for, what is held, notice). Raises quota.OverLimit when too few could be."""
    allowed, notice = wanted, ""
    for final in (*[False] * (TRIES - 1), True):
        amount = pricing.upper_bound(size, allowed, rates)
        try:
            with db.session.begin_nested():
                quota.reserve(db.session, budgets, execution_id, attempt_id, amount)
        except quota.OverLimit as over:
            affordable = pricing.affordable_output(size, over.left, rates) if may_lower else None
            if final or affordable is None or affordable >= allowed or affordable < min(FEWEST, wanted):
                raise
            allowed = affordable
            notice = f"The answer is limited to {allowed:,} tokens: more could not be paid. {over.message}"
        else:
            break
    return allowed, amount, notice


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
