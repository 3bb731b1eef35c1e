"""What an attempt may use: the most it can, held against every limit that applies before it is sent.

Where that is more than is left, the output is lowered to what is. It is never let through with a smaller hold.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from .. import quota
from ..extensions import db, one_of_each
from ..jobs import queue
from ..models import Organization, Payer, Unit, UnknownPrice
from ..models.records import RunRecord
from ..router.candidates import Candidate
from ..router.plan import Step
from ..router.types import Failure, Kind, Prompt
from . import remembered
from .bounds import Bound

TRIES = 3
"""What is left may shrink while we look."""
SLOWEST = 1.0
"""Seconds that Valkey has to say whether a rate is kept to."""


class Allowance(NamedTuple):
    """The prompt as it may be sent; a notice when its output was lowered; what is held for it."""

    prompt: Prompt
    notice: str = ""
    is_held: bool = False
    """Some limit counts it, in whatever unit."""
    held: int | None = None
    """Nano-USD that are held for it; None: nothing is, as no limit of money counts it."""
    held_tokens: int | None = None
    """… and tokens, of all classes together; None: no limit counts it."""
    lease: quota.Lease | None = None
    """What rates count for it."""
    left_usd: int | None = None
    """Nano-USD that are left then of the hard limit that has least; None: none of money counts it."""

    @classmethod
    def of(
        cls,
        limits: Sequence[quota.Limit],
        bound: Bound,
        lease: quota.Lease | None,
        notice: str = "",
        left_usd: int | None = None,
    ) -> Allowance:
        """What was held against these limits, and said beforehand of them."""
        notices, use = " ".join(filter(None, (notice, bound.notice))), bound.use
        if not limits:
            return cls(bound.prompt, notices, lease=lease, left_usd=left_usd)
        money = [limit for limit in limits if limit.unit is Unit.USD]
        return cls(bound.prompt, notices, True, use.usd if money else None, use.tokens, lease, left_usd)

    def end(self, tokens: int | None) -> None:
        """It used so many tokens; None: it was not sent."""
        if self.lease:
            rates().end(self.lease, tokens)


class Unpriced(NamedTuple):
    """What an organization wants done with a call whose price nobody knows, where a limit of money applies."""

    policy: UnknownPrice
    ceiling: int | None
    """Nano-USD that such a call counts as, under CEILING."""

    @classmethod
    def of(cls, organization: Organization) -> Unpriced:
        return cls(organization.unknown_price, organization.unknown_price_ceiling)


def reserve(execution: RunRecord, attempt_id: uuid.UUID, step: Step, prompt: Prompt, unpriced: Unpriced) -> Allowance:
    """Commits what is held, with all that was written before. Raises Failure, quota.OverLimit, quota.RateExceeded or
    quota.RatesUnknown; nothing is held or counted then."""
    subjects = subjects_of(execution, step)
    counted = quota.applicable(db.session, subjects)
    if not (counted.limits or counted.rates):
        remembered.limits().keep(subjects, execution.hub_version, counted)
        return Allowance(prompt)
    limits, ceiling, notice = counting(counted.limits, step.candidate, unpriced)
    wanted = Bound.of(prompt, step.candidate, limits, counted.rates, ceiling)
    bound = wanted.within([limit for limit in limits if wanted.exceeds(limit)], counted).slowed(counted.rates)
    with Leased(counted.rates, attempt_id, bound) as lease:
        bound = _held(counted, limits, execution.id, attempt_id, bound)
    if bound.output == wanted.slowed(counted.rates).output:  # else the next would hardly fit either, beside others
        remembered.limits().keep(subjects, execution.hub_version, counted)
    room = [limit.left for limit in limits if limit.unit is Unit.USD and limit.is_hard]
    return Allowance.of(limits, bound, lease, notice, max(0, min(room) - bound.use.usd) if room else None)


def take_over(execution: RunRecord, attempt_id: uuid.UUID, step: Step, prompt: Prompt) -> Allowance:
    """What another worker was allowed, to go on with."""
    counted = quota.applicable(db.session, subjects_of(execution, step))
    lease = rates().go_on(counted.rates, attempt_id) if counted.rates else None
    held = quota.held(db.session, attempt_id)
    usd, tokens = (held.usd or None, held.tokens or None) if held else (None, None)
    return Allowance(prompt, "", held is not None, usd, tokens, lease)


class Leased:
    """What rates count for a call, given back where it is not held after all."""

    def __init__(self, counting: Sequence[quota.Rate], attempt_id: uuid.UUID, bound: Bound):
        """Raises quota.RateExceeded or RatesUnknown."""
        self._lease = rates().take(counting, attempt_id, bound.use.tokens) if counting else None

    def __enter__(self) -> quota.Lease | None:
        return self._lease

    def __exit__(self, broke: type[BaseException] | None, *_: object) -> None:
        if broke and self._lease:
            rates().end(self._lease, None)


@one_of_each("dataelan_rates")
def rates() -> quota.Rates:
    """This application's."""
    return quota.Rates(queue.within(SLOWEST, queue.store()))


def counting(
    limits: Sequence[quota.Limit], candidate: Candidate, unpriced: Unpriced
) -> tuple[list[quota.Limit], int, str]:
    """(those of the limits that count a call of this price, what it counts as where the price is unknown, notice).

    What is free is in no limit's way but those of tokens and requests. Where nobody knows the price, it is as the
    organization wishes: refused (the default), counted as its ceiling for one call, or let through. But a hard limit of
    the operator's goes by what everyone's price book says, and never by what an organization says itself.
    """
    money = [limit for limit in limits if limit.unit is Unit.USD]
    others = [limit for limit in limits if limit.unit is not Unit.USD]
    if candidate.has_own_price or candidate.rates is None:
        _refuse_for_the_operator(money, candidate)
    if candidate.rates is not None:
        return others if candidate.rates.is_free else list(limits), 0, ""
    if not money:
        return others, 0, ""
    if unpriced.policy is UnknownPrice.CEILING and unpriced.ceiling:
        as_ = quota.usd(unpriced.ceiling)
        return list(limits), unpriced.ceiling, f"The price of {candidate.label} is unknown: it is counted as {as_}."
    if unpriced.policy is UnknownPrice.ALLOW or not any(limit.is_hard for limit in money):
        return others, 0, f"The price of {candidate.label} is unknown: no limit of money counts this call."
    raise Failure(
        Kind.BILLING,
        f"The price of {candidate.label} is unknown and a limit applies, so its cost cannot be held to it."
        " Set a price, choose a priced model, or change what happens to unknown prices in the Model Hub's settings.",
        sent=False,
    )


def _refuse_for_the_operator(money: Sequence[quota.Limit], candidate: Candidate) -> None:
    """Raises Failure."""
    if any(limit.is_hard and limit.organization_id is None for limit in money):
        raise Failure(
            Kind.BILLING,
            f"The price of {candidate.label} is not in everyone's price book, and a limit of whoever runs Dataelan"
            " applies, whose key would pay. Choose a model with a known price, or use a key of your own.",
            sent=False,
        )


def _held(
    counted: quota.Applicable,
    limits: Sequence[quota.Limit],
    execution_id: uuid.UUID,
    attempt_id: uuid.UUID,
    bound: Bound,
) -> Bound:
    """What was held at last, and committed. Raises quota.OverLimit when too little could be."""
    refused: Sequence[quota.Limit] = ()
    for _ in range(TRIES if limits else 0):
        refused = list(quota.hold(db.session, limits, execution_id, attempt_id, bound.use, is_last=True).values())
        if not refused:
            break
        bound = bound.within(refused, counted)
    if refused:
        raise quota.OverLimit(quota.tightest(refused), counted.zone, bound.because)
    return bound


def subjects_of(execution: RunRecord, step: Step) -> quota.Subjects:
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
