"""What would become of a prompt if it were run now: its plan, and the limit that would lower or stop it.

Reads what `execute` and `allowance` read and decides as they do. Holds, counts, sends and keeps nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from zoneinfo import ZoneInfo

from .. import quota
from ..extensions import db
from ..models import Execution
from ..router.plan import Plan, Step
from ..router.types import Failure, Prompt
from .allowance import Unpriced, counting, subjects_of
from .bounds import Bound
from .execute import choose

UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class Foresight:
    plan: Plan
    step: Step | None = None
    """The first call of the plan; None: nothing can be called, and `problem` says why."""
    problem: str = ""
    limit: quota.Limit | None = None
    """The limit that would stop it or lower its output; else the hard one of which least is left."""
    is_refused: bool = False
    most_output: int | None = None
    """Output tokens to which a limit would lower the answer."""
    zone: ZoneInfo = UTC


def foresee(execution: Execution, prompt: Prompt, draw: Random | None = None) -> Foresight:
    """`execution`: as it would be recorded; it needs not be in the database."""
    plan = choose(execution, prompt, draw)
    if not plan.steps:
        return Foresight(plan, problem=plan.problem)
    step = plan.steps[0]
    counted = quota.applicable(db.session, subjects_of(execution, step))
    unpriced = Unpriced.of(execution.project.organization)
    try:
        limits, ceiling, _ = counting(counted.limits, step.candidate, unpriced)
    except Failure as refused:
        return Foresight(plan, step, problem=refused.message, is_refused=True)
    bound = Bound.of(prompt, step.candidate, limits, counted.rates, ceiling)
    refusing = [limit for limit in limits if bound.exceeds(limit)]
    try:
        lowered = bound.within(refusing, counted).slowed(counted.rates)
    except quota.OverLimit as refused:
        return Foresight(plan, step, limit=refused.budget, is_refused=True, zone=counted.zone)
    least = min((limit for limit in limits if limit.is_hard), key=lambda one: one.left / (one.limit or 1), default=None)
    limit = quota.tightest(refusing) if refusing else least
    most = lowered.output if lowered.output < bound.output else None
    return Foresight(plan, step, limit=limit, most_output=most, zone=counted.zone)
