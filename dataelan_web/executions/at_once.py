"""A run that its caller runs itself, in two messages to the database: one before its call, and one after.

That is the plain case: its first call is its last and completes, what it needs of keys and limits is remembered, and no
limit lowers or refuses it. All else goes the long way (record.py, allowance.py), by which every question is decided;
here nothing is decided otherwise. A message is a transaction of its own: where one says no, nothing of it is written,
and the long way begins as if it had never been sent.

Where limits hold something, their rows are free before a disk has written (quota.holds): the message goes on with a
record of its own, whose commit waits for all before it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import DBAPIError

from .. import pool, quota, second_net
from ..extensions import db
from ..models import Attempt, Execution, LedgerEntry
from ..models.base import storable, storable_json
from ..models.executions import LEASE
from ..models.journal import COUNTERS
from ..router.plan import Step
from ..router.types import Failure, Prompt
from . import remembered
from .allowance import Allowance, Unpriced, counting, leased, subjects_of
from .bounds import Bound
from .key_use import KeyUse
from .refused import REFUSALS

log = logging.getLogger(__name__)

NOT_OURS = "DL002"
"""SQLSTATE of an end that is not this process's to write."""
EXPECTED = quota.REFUSED, NOT_OURS

_RUN = "id", "organization_id", "project_id", "user_id", "token_id"
_CALL = "provider_id", "model_id", "api_key_id", "price_id"
_ENDED = "rule_id", "provider_id", "model_id", "api_key_id", "first_token_at"

_BEGINS = """run_begins(
    %(said)s, %(asked)s, %(lease)s, %(reservation)s, %(usd)s, %(tokens)s, %(stands)s, %(budget_ids)s, %(starts)s,
    %(ends)s, %(period_ids)s, %(new_ids)s, %(amounts)s, %(hold_ids)s)"""
_ENDS = """run_ends(
    %(said)s, %(text)s, %(reasoning)s, %(tool_calls)s, %(segments)s, %(receipt)s, %(notice)s, %(line)s,
    %(organization)s, %(price)s, %(usd)s, %(tokens)s, %(remark)s)"""
_BEGIN = f"SELECT {_BEGINS}, NULL"
_BEGIN_HELD = f"""BEGIN; SELECT set_config('dataelan.begun', {_BEGINS}::text, false); COMMIT;
    SELECT current_setting('dataelan.begun')::timestamptz, CASE WHEN %(streams)s THEN quota_left(%(attempt)s) END,
    pg_logical_emit_message(true, 'dataelan', '')"""
_END = f"SELECT {_ENDS}, NULL"
_END_SETTLED = f"""BEGIN; SELECT set_config('dataelan.overrun', {_ENDS}::text, false); COMMIT;
    SELECT current_setting('dataelan.overrun')::boolean, quota_left(%(attempt)s),
    pg_logical_emit_message(true, 'dataelan', '')"""
_NOTHING_HELD: dict[str, Any] = dict.fromkeys(quota.to_hold((), quota.Use()))
_NOTHING_SETTLED: dict[str, Any] = dict.fromkeys(("line", "organization", "price", "usd", "tokens", "remark"))


@dataclass(frozen=True)
class Begun:
    at: datetime
    """By the database's clock."""
    key: KeyUse
    allowance: Allowance


def begin(execution: Execution, attempt: Attempt, step: Step, prompt: Prompt, unpriced: Unpriced) -> Begun | None:
    """Commits a run, its first call, and what is held for that. None: it is not plain, and nothing was written. Raises
    SQLAlchemyError where the database is away, and nobody knows what it wrote."""
    version = execution.hub_version
    counted = remembered.limits().find(subjects_of(execution, step), version) if version is not None else None
    key = remembered.keys().find(step.key.id, version) if version is not None and step.key.id else None
    if counted is None or (step.key.id and key is None) or _has_a_connection():
        return None
    try:
        limits, ceiling, notice = counting(counted.limits, step.candidate, unpriced)
        bound = Bound.of(prompt, step.candidate, limits, counted.rates, ceiling)
        if any(bound.exceeds(limit) for limit in limits):
            return None
        bound, use = bound.slowed(counted.rates), KeyUse.of(step.key.id, key)
        with leased(counted.rates, attempt.id, bound) as lease:
            begun, left = _begun(execution, attempt, limits, bound)
    except (Failure, *REFUSALS):
        return None
    except DBAPIError as error:
        _raise_if_unknown(error)
        return None
    second_net.leave()
    return Begun(begun, use, Allowance.of(limits, bound, lease, notice, left))


def _begun(execution: Execution, attempt: Attempt, limits: list[quota.Limit], bound: Bound) -> Any:
    """(when it began, nano-USD that are left)"""
    run = {name: _text(getattr(execution, name)) for name in _RUN}
    call = {name: _text(getattr(attempt, name)) for name in _CALL}
    said = (
        run
        | call
        | {
            "origin": execution.origin.value,
            "model_type": execution.model_type.value,
            "requested": execution.requested,
            "labels": execution.labels,
            "lease_owner": execution.lease_owner,
            "attempt": str(attempt.id),
            "model_name": attempt.model_name,
            "provider_name": attempt.provider_name,
            "payer": attempt.payer.value,
        }
    )
    values: dict[str, Any] = {
        "said": storable_json(said),
        "asked": storable_json(execution.body.request),
        "lease": LEASE,
    }
    if not limits:
        return pool.say(_BEGIN, values | _NOTHING_HELD)
    also = {"attempt": str(attempt.id), "streams": bound.asked.stream}  # else what is left is told at the end
    *found, _ = pool.say(_BEGIN_HELD, values | also | quota.to_hold(limits, bound.use)) or ()
    return found


def end(
    execution: Execution,
    attempt: Attempt,
    columns: Mapping[str, Any],
    said: Mapping[str, Any],
    entry: LedgerEntry | None,
) -> quota.Settled | None:
    """Commits the end of a run and of its only call, as columns of its row and its body tell them; and settles what was
    held, with this line. None: nothing was written, for it is not this process's any more, or not to be written so.
    Raises SQLAlchemyError where the database is away, and nobody knows what it wrote."""
    if _has_a_connection():
        return None
    run = {
        "id": str(execution.id),
        "fence": execution.fence,
        "finish": columns["finish"],
        "payer": attempt.payer.value,
        "cost": columns["cost"],
        "measures": columns["measures"],
        "attempt": str(attempt.id),
        "ended_at": _text(attempt.ended_at),
        "response_id": attempt.response_id,
        "response_model": attempt.response_model,
        "usage_is_estimated": attempt.usage_is_estimated,
    }
    run |= {name: columns[name] for name in COUNTERS} | {name: _text(columns[name]) for name in _ENDED}
    words = {name: storable(said[name]) for name in ("text", "reasoning", "notice")}
    lists = {name: storable_json(said[name]) for name in ("tool_calls", "segments", "receipt")}
    values: dict[str, Any] = {"said": storable_json(run), **words, **lists}
    try:
        if entry is None:
            pool.say(_END, values | _NOTHING_SETTLED)
            return quota.Settled()
        is_over, left, _ = pool.say(_END_SETTLED, values | quota.to_settle(attempt.id, entry)) or (False, None, None)
        return quota.Settled(is_over, left)
    except DBAPIError as error:
        _raise_if_unknown(error)
        return None


def _has_a_connection() -> bool:
    """The session read something, and its transaction goes on. With a second one each, few threads would take all that
    there are, and wait for each other."""
    return bool(db.session.registry.has() and db.session().in_transaction())


def _raise_if_unknown(error: DBAPIError) -> None:
    """… what it wrote, for its connection was lost."""
    if error.connection_invalidated:
        raise error
    if (code := getattr(error.orig, "pgcode", None)) not in EXPECTED:
        log.warning("the database took no message (%s), so this goes the long way", code)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
