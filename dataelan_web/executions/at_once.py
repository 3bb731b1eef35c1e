"""A run that its caller runs itself, in two messages to the database: one before its call, and one after.

That is the plain case: its first call is its last and completes, what it needs of keys and limits is remembered, and no
limit lowers or refuses it. All else goes the long way (record.py, allowance.py), by which every question is decided;
here nothing is decided otherwise. A message is a transaction of its own: where one says no, nothing of it is written,
and the long way begins as if it had never been sent. Runs that begin at the same moment, or end, are in one message
(together.py).

What is locked, such as the row of a limit, is free before a disk has written (quota.holds): the message goes on with a
record of its own, whose commit waits for all before it.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.exc import DBAPIError

from .. import pool, quota, second_net
from ..extensions import db, one_of_each
from ..models import Changed, records
from ..models.base import as_json, new_id_text, storable_json
from ..models.executions import LEASE
from ..models.records import AttemptRecord, RunRecord
from ..router.plan import Step
from ..router.types import Failure, Prompt
from ..together import LOCKED, Together
from . import remembered
from .allowance import Allowance, Leased, Unpriced, counting, subjects_of
from .bounds import Bound
from .key_use import KeyUse
from .refused import REFUSALS

log = logging.getLogger(__name__)

NOT_OURS, CHANGED = "DL002", "DL003"
"""SQLSTATEs of an end that is not this process's to write, and of a caller who is not who was remembered."""
EXPECTED = quota.REFUSED, NOT_OURS, CHANGED

_RUN = (
    "id", "organization_id", "project_id", "user_id", "token_id", "origin", "model_type", "requested", "labels",
    "lease_owner",
)  # fmt: skip
_CALL = "provider_id", "model_id", "api_key_id", "price_id", "model_name", "provider_name", "payer"
_CALL_ENDED = "ended_at", "response_id", "response_model", "usage_is_estimated"

_ALL_BEGIN = """CALL say_runs_begin(%(callers)s, %(calls)s, %(holding)s, %(lease)s, %(stands)s,
    %(locked)s, %(attempts)s, %(told)s, NULL, NULL)"""
_ALL_END = "CALL say_runs_end(%(ends)s, %(locked)s, %(attempts)s, %(told)s, NULL, NULL)"


class _Beginning(NamedTuple):
    """One run's part of a message."""

    run: str
    """As JSON."""
    attempt: uuid.UUID
    is_told: bool
    """Is it to be told what is left of its limits?"""
    holding: str = ""
    """What is held for it, as JSON, parted by commas."""
    caller: str = ""
    """Who is presumed to call, as JSON."""


class Ending(NamedTuple):
    run: str
    """As JSON, in one line."""
    attempt: uuid.UUID
    is_told: bool = False
    """Is it to be told what is left of its limits?"""

    @classmethod
    def read(cls, run: str) -> Ending:
        """What somebody else has to write. Raises ValueError."""
        return cls(run, uuid.UUID(json.loads(run)["attempt"]))


class Begun(NamedTuple):
    at: datetime
    """By the database's clock."""
    key: KeyUse
    allowance: Allowance


def begin(
    execution: RunRecord,
    attempt: AttemptRecord,
    step: Step,
    prompt: Prompt,
    unpriced: Unpriced,
    wait: Callable[[], bool] = lambda: False,
) -> Begun | None:
    """Commits a run, its first call, and what is held for that. None: it is not plain, and nothing was written; nor was
    it where it raises Changed. Raises SQLAlchemyError where the database is away, and nobody knows what it wrote.
    `wait`: for what a limit refuses it, if that may be settled in a moment; then it is asked once more."""
    version, subjects = execution.hub_version, subjects_of(execution, step)
    counted = remembered.limits().find(subjects, version) if version is not None else None
    its_key = execution.organization_id, step.key.id
    key = remembered.keys().find(its_key, version) if version is not None and step.key.id else None
    if counted is None or (step.key.id and key is None) or _has_a_connection():
        return None
    try:
        limits, ceiling, notice = counting(counted.limits, step.candidate, unpriced)
        bound = Bound.of(prompt, step.candidate, limits, counted.rates, ceiling)
        if any(bound.exceeds(limit) for limit in limits):
            return None
        bound, use = bound.slowed(counted.rates), KeyUse.of(step.key.id, key)
        with Leased(counted.rates, attempt.id, bound) as lease:
            begun, left = _begun_or_again(execution, attempt, limits, bound, wait)
    except (Failure, *REFUSALS):
        return None
    except DBAPIError as error:
        _raise_if_unknown(error)
        if getattr(error.orig, "pgcode", None) == CHANGED:
            raise Changed from None
        remembered.limits().forget(subjects)  # whom a limit refuses goes the long way from now on, in nobody's message
        return None
    if execution.caller:
        execution.caller.is_confirmed = True
    second_net.leave()
    return Begun(begun, use, Allowance.of(limits, bound, lease, notice, left))


def _begun_or_again(
    execution: RunRecord, attempt: AttemptRecord, limits: list[quota.Limit], bound: Bound, wait: Callable[[], bool]
) -> Any:
    try:
        return _begun(execution, attempt, limits, bound)
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != quota.REFUSED or not wait():
            raise
    return _begun(execution, attempt, limits, bound)


def _begun(execution: RunRecord, attempt: AttemptRecord, limits: list[quota.Limit], bound: Bound) -> Any:
    """(when it began, nano-USD that are left)"""
    said = records.values(execution, _RUN) | records.values(attempt, _CALL)
    said |= {"attempt": attempt.id, "asked": execution.request}
    holding, use = "", bound.use
    if limits:
        reservation = new_id_text()
        said |= {"reservation": reservation, "usd": use.usd, "tokens": use.tokens}
        holds = [
            {"id": new_id_text(), "reservation": reservation, "period": one.period_id, "amount": use.of(one.unit)}
            for one in limits
        ]
        holding = as_json(holds)[1:-1]
    caller = execution.caller.as_json() if execution.caller and not execution.caller.is_confirmed else ""
    # Else what is left is told at its end, before the answer is.
    is_told = bool(limits) and (bound.asked.stream or not execution.is_awaited)
    return _beginning().ask(_Beginning(storable_json(said), attempt.id, is_told, holding, caller))


def _begin_all(calls: Sequence[_Beginning]) -> list[tuple[datetime, int | None]]:
    """Of each: when it began, nano-USD that are left."""
    values = _values(calls) | {
        "callers": _list({one.caller for one in calls if one.caller}),
        "calls": _list(one.run for one in calls),
        "holding": _list(one.holding for one in calls if one.holding),
        "lease": LEASE,
        "stands": quota.GRACE,
    }
    begun, left = pool.say(_ALL_BEGIN, values) or (None, ())
    return [(begun, one) for one in left]


def ending(
    attempt: AttemptRecord,
    fence: int,
    columns: Mapping[str, Any],
    said: Mapping[str, Any],
    entry: quota.Charge | None,
) -> Ending:
    """The end of a run and of its only call, as columns of its row and its body tell them; with this line what was held
    is settled."""
    run = {"id": attempt.execution_id, "fence": fence, "attempt": attempt.id}
    run |= {**columns, **said, **records.values(attempt, _CALL_ENDED)}  # of which it reads what such an end may set
    if entry is not None:
        run |= quota.to_settle(attempt.id, entry)
    return Ending(storable_json(run), attempt.id, entry is not None)


def end(ending: Ending) -> quota.Settled | None:
    """Commits it. None: nothing was written, for it is not this process's any more, or not to be written so. Raises
    SQLAlchemyError where the database is away, and nobody knows what it wrote."""
    if _has_a_connection():
        return None
    try:
        return _ending().ask(ending)
    except DBAPIError as error:
        _raise_if_unknown(error)
        return None


def end_all(ends: Sequence[Ending]) -> list[quota.Settled]:
    """Commits all of them, or raises SQLAlchemyError. Of each what it came to."""
    values = _values(ends) | {"ends": _list(one.run for one in ends)}
    is_over, left = pool.say(_ALL_END, values) or ((), ())
    return [quota.Settled(*one) for one in zip(is_over, left, strict=True)]


def _values(said: Sequence[_Beginning] | Sequence[Ending]) -> dict[str, Any]:
    return {
        "locked": LOCKED if len(said) > 1 else "0",
        "attempts": quota.array(one.attempt for one in said),
        "told": quota.array(one.is_told for one in said),
    }


def _list(said: Iterable[str]) -> str:
    return f"[{','.join(said)}]"


@one_of_each("dataelan_begin_together")
def _beginning() -> Together[_Beginning, tuple[datetime, int | None]]:
    """This application's."""
    return Together(_begin_all, _size)


@one_of_each("dataelan_end_together")
def _ending() -> Together[Ending, quota.Settled]:
    """This application's."""
    return Together(end_all, _size)


def _size(said: _Beginning | Ending) -> int:
    return len(said.run)


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
