"""What would become of a prompt if it were run now: its plan, and the limit that would lower or stop it.

Reads what `execute` and `allowance` read and decides as they do. Holds, counts, sends and keeps nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from zoneinfo import ZoneInfo

from .. import quota
from ..extensions import db
from ..models.records import RunRecord
from ..router.plan import Plan, Step
from ..router.types import Failure, Prompt
from .allowance import Unpriced, counting, rates, subjects_of
from .bounds import Bound
from .execute import choose

UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class Foresight:
    plan: Plan
    step: Step | None = None
    """The call that would be made: the first of the plan that no limit refuses; where they refuse all, the first.
    None: nothing can be called, and `problem` says why."""
    problem: str = ""
    limit: quota.Limit | None = None
    """The limit that would stop it or lower its output; else the hard one of which least is left."""
    is_refused: bool = False
    because: str = ""
    """Why the prompt may use more than that limit has left, where that may astonish."""
    most_output: int | None = None
    """Output tokens to which a limit would lower the answer."""
    zone: ZoneInfo = UTC
    instead_of: Foresight | None = None
    """The plan's first call, where limits refuse that one and it goes on to another."""


def foresee(execution: RunRecord, prompt: Prompt, draw: Random | None = None) -> Foresight:
    """`execution`: as it would be recorded; it needs not be in the database."""
    plan = choose(execution, prompt, draw)
    unpriced = Unpriced.of(execution.project.organization)
    refused: Foresight | None = None
    for step in plan.steps:
        if step.only_after is None:
            found = _of(execution, prompt, plan, step, unpriced)
            if not found.is_refused:
                return replace(found, instead_of=refused)
            refused = refused or found
    return refused or Foresight(plan, problem=plan.problem)


def _of(execution: RunRecord, prompt: Prompt, plan: Plan, step: Step, unpriced: Unpriced) -> Foresight:
    """One call of the plan, as `allowance.reserve` would allow it."""
    counted = quota.applicable(db.session, subjects_of(execution, step))
    try:
        limits, ceiling, _ = counting(counted.limits, step.candidate, unpriced)
        bound = Bound.of(prompt, step.candidate, limits, counted.rates, ceiling)
        refusing = [limit for limit in limits if bound.exceeds(limit)]
        lowered = bound.within(refusing, counted).slowed(counted.rates)
        rates().look(counted.rates, lowered.use.tokens)
    except quota.OverLimit as refused:
        why = refused.because
        return Foresight(plan, step, limit=refused.budget, is_refused=True, because=why, zone=counted.zone)
    except (Failure, quota.RateExceeded, quota.RatesUnknown) as refused:
        return Foresight(plan, step, problem=refused.message, is_refused=True)
    least = min((limit for limit in limits if limit.is_hard), key=lambda one: one.left / (one.limit or 1), default=None)
    limit = quota.tightest(refusing) if refusing else least
    most = lowered.output if lowered.output < bound.output else None
    return Foresight(plan, step, limit=limit, most_output=most, zone=counted.zone)
