"""How much more to offer to ask for: what the refused prompt needs, or else a quarter of the limit."""

from __future__ import annotations

import logging

from .. import quota
from ..executions import assets
from ..executions.bounds import Bound
from ..executions.execute import choose
from ..executions.prompts import from_json, with_files
from ..extensions import db
from ..models import Execution, Measure, Pace, Unit
from ..models.records import RunRecord
from ..router.types import Failure
from ..storage import Unavailable
from . import amounts
from .balance import Line
from .speeds import Speed

log = logging.getLogger(__name__)

QUARTER = 4
LEAST = {Unit.USD: 1_000_000_000, Unit.TOKENS: 10_000, Unit.REQUESTS: 10}
"""What is offered at least, where a quarter of the limit is nothing."""


def more_for(
    stands: Line | Speed, measure: Measure, run: Execution | None, *, is_hidden: bool = False
) -> tuple[int, int | None]:
    """(what to offer when somebody asks for more, what the refused prompt may use; None: not known). Of a limit that is
    hidden the offer tells nothing: it is what the prompt needs, or 0."""
    need = _needed(run, stands, measure) if run else None
    if is_hidden:
        return amounts.rounded_up(need or 0), need
    if isinstance(stands, Line):
        most, left, least = stands.standing.limit, stands.standing.left, LEAST[stands.budget.unit]
    else:
        most = left = stands.most(measure) or 0
        least = 1
    lacking = need - left if need else 0
    return amounts.rounded_up(max(lacking, most // QUARTER or least)), need


def _needed(run: Execution, stands: Line | Speed, measure: Measure) -> int | None:
    """The most the prompt may use at the model where that is least, as it would be planned now. Of a rate its tokens
    are known, and nothing else that it needs."""
    if isinstance(stands, Speed) and measure is not Pace.TOKENS:
        return None
    unit = Unit(measure)
    limits = quota.limits_of(db.session, [stands.budget.id]) if isinstance(stands, Line) else ()
    rates = [stands.as_counted] if isinstance(stands, Speed) else ()
    try:
        prompt = with_files(from_json(run.body.request), assets.read)
        steps = choose(RunRecord.of(run), prompt).steps
    except (Failure, Unavailable):
        log.warning("what execution %s needs cannot be told", run.id, exc_info=True)
        return None
    counted = [step.candidate for step in steps if unit is not Unit.USD or step.candidate.rates is not None]
    uses = [Bound.of(prompt, candidate, limits, rates, 0).use.of(unit) for candidate in counted]
    return min(filter(None, uses), default=None)
