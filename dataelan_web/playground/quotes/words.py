"""How a quote reads: “≈ $0.0004–0.002 · ~2 s”. Small money never reads $0.00, and unknown is said."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

from ... import access, currencies, quota
from ...currencies import Currency
from ...executions.foresight import Foresight
from ...extensions import db
from ...formats import duration
from ...models import Budget, Quote, Window
from .reckoning import Reckoning


@dataclass(frozen=True)
class Said:
    """A quote for its line and its fold-out. `tone`: danger where it would be stopped, warn where lowered."""

    cost: str
    wait: str
    model: str
    tone: str = ""
    stops: str = ""
    """What would stop or lower it, in a sentence."""
    left: str = ""
    """What is left of the limit that has least, where nothing stands in the way."""


def said(reckoning: Reckoning) -> Said:
    foresight, candidate = reckoning.foresight, reckoning.candidate
    if candidate is None:
        return Said("Would not run", "", "", "danger", foresight.problem)
    wait = reckoning.wait
    total = f"~{_rough_seconds(wait.total)}" if wait and wait.total is not None else ""
    if foresight.is_refused:
        return Said("Would be stopped", "", candidate.model, "danger", _why(foresight))
    warnings = []
    if (first := foresight.instead_of) is not None and first.step is not None:
        warnings.append(f"{first.step.candidate.model} would be stopped, so the next one answers. {_why(first)}")
    if foresight.most_output is not None:
        warnings.append(f"The answer would be limited to {foresight.most_output:,} tokens. {_limit(foresight)}")
    tone, left = ("warn", "") if warnings else ("", _left(foresight))
    return Said(cost_of(reckoning), total, candidate.model, tone, " ".join(warnings), left)


def cost_of(reckoning: Reckoning) -> str:
    if reckoning.candidate and reckoning.candidate.is_simulated:
        return "Free, simulated"
    if reckoning.is_free:
        return "Free"
    return cost_range(reckoning.low, reckoning.high)


def cost_range(low: int | None, high: int | None) -> str:
    """Two digits of each end, the lower rounded down and the higher up."""
    if low is None or high is None:
        return "Cost unknown"
    if not high:
        return "Free"
    shown = currencies.here()
    least, most = _two_digits(shown, low, ROUND_FLOOR), _two_digits(shown, high, ROUND_CEILING)
    return f"≈ {shown.sign}{least}" if least == most else f"≈ {shown.sign}{least}–{most}"


def _two_digits(shown: Currency, nano: int, rounding: str) -> str:
    return shown.digits(Context(prec=2, rounding=rounding).plus(shown.of(nano)))


def _rough_seconds(seconds: float) -> str:
    if seconds < 1:
        return "1s" if seconds >= 0.95 else f"{seconds:.1f}s"
    return f"{seconds:.0f}s" if seconds < 59.5 else duration(seconds)


def _why(foresight: Foresight) -> str:
    return foresight.problem or _limit(foresight)


def _limit(foresight: Foresight) -> str:
    """The limit's own words, for those who may see its amounts; for others that there is one."""
    limit = foresight.limit
    if limit is None:
        return "A limit of tokens per minute applies."
    if not _is_visible(limit):
        return "A limit that applies here has too little left; its amounts are not for you to see."
    return quota.OverLimit(limit, foresight.zone, foresight.because).message


def _left(foresight: Foresight) -> str:
    limit = foresight.limit
    if limit is None or not _is_visible(limit):
        return ""
    per = "in all" if limit.window is Window.TOTAL else f"per {limit.window.value}"
    whose = quota.whose_limit(limit.scope, limit.organization_id)
    return f"{whose} of {quota.said(limit.unit, limit.limit)} {per} has {quota.said(limit.unit, limit.left)} left."


def _is_visible(limit: quota.Limit) -> bool:
    query = access.scoped(Budget).where(Budget.id == limit.id).with_only_columns(Budget.id)
    return db.session.execute(query.limit(1)).first() is not None


def quoted_cost(quote: Quote) -> str:
    return cost_range(quote.low, quote.high)


FILTERS = {"quoted_cost": quoted_cost}
