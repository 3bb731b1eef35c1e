"""Reserve the most an attempt can use, settle what it used, give back what was never sent.

The work is done in three functions of the database (migrations 0003 and swiftlimits), each in one round trip: a
reservation is held against every limit or none, and ends once. They lock what they change until the transaction ends,
so they are called last in it, and the commit goes in the same message (`is_last`, `settle_at_last`): the row of a limit
that everyone shares is locked for a moment, and never while a disk writes, or a thread of ours waits for its turn.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError

from ..models import Budget, BudgetPeriod, Hold, Payer, Reservation, ReservationState, Unit, new_id
from ..models.base import DbSession, new_id_text
from ..models.locks import ALIVE
from .amounts import Use
from .limits import Applicable, Limit
from .refusals import OverLimit, tightest
from .wire import array

GRACE = timedelta(minutes=20)
"""How long past its making a hold may stand before the sweeper ends it: longer than any call may last."""

REFUSED = "DL001"
"""SQLSTATE of a hold that a limit refuses."""

_END = "COMMIT; BEGIN; SELECT pg_logical_emit_message(true, 'dataelan', '')"
_HOLD = f"""SELECT {ALIVE}; SAVEPOINT before_hold; SELECT quota_hold(
    %(reservation)s, %(attempt)s, %(execution)s, %(usd)s, %(tokens)s, %(stands)s, %(budget_ids)s, %(starts)s, %(ends)s,
    %(period_ids)s, %(new_ids)s, %(amounts)s, %(hold_ids)s)"""
_TAKE_BACK = "ROLLBACK TO SAVEPOINT before_hold"
_SETTLE = f"""SELECT {ALIVE}, set_config('dataelan.overrun', quota_settle(
    %(line)s, %(organization)s, %(attempt)s, %(price)s, %(payer)s, %(usd)s, %(tokens)s, %(remark)s)::text, false)"""
_HOW_IT_STANDS = ", current_setting('dataelan.overrun'), quota_left(%(attempt)s)"


class Charge(NamedTuple):
    """The ledger's line for a call, before it is written."""

    organization_id: uuid.UUID
    payer: Payer
    amount: int
    tokens: int = 0
    price_id: uuid.UUID | None = None
    note: str = ""
    """As in LedgerEntry."""


class Settled(NamedTuple):
    """What a call came to, beside what was held for it and what limits allow."""

    is_over: bool = False
    """It used more than was held for it. The ledger's line says “overrun”, and has it in full."""
    left_usd: int | None = None
    """Nano-USD that are left then of the hard limit that has least, of those that counted it; None: none did."""


def hold(
    session: DbSession,
    limits: Sequence[Limit],
    execution_id: uuid.UUID,
    attempt_id: uuid.UUID,
    use: Use,
    *,
    is_last: bool = False,
) -> dict[uuid.UUID, Limit]:
    """Hold this use against every limit, or nothing: then the limits that refuse, as they are now. Where it is the last
    that the transaction writes, what is held is committed at once, with all that was written before."""
    asked = {"attempt": str(attempt_id), "execution": str(execution_id), **_to_hold(limits, use)}
    session.flush()
    database = session.connection()
    try:
        database.exec_driver_sql(f"{_HOLD}; {_END}" if is_last else _HOLD, asked)
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != REFUSED:
            raise
        database.exec_driver_sql(_TAKE_BACK)
        return _refusing(limits, error.orig.diag.message_detail)  # type: ignore[union-attr]
    if is_last:
        session.commit()
    return {}


def _to_hold(limits: Sequence[Limit], use: Use) -> dict[str, object]:
    """What quota_hold is told of these limits, by name."""
    new_ids = [new_id() for _ in range(2 * len(limits) + 1)]
    return {
        "reservation": str(new_ids[-1]),
        "usd": use.usd,
        "tokens": use.tokens,
        "stands": GRACE,
        "budget_ids": array(limit.id for limit in limits),
        "starts": array(limit.starts_at for limit in limits),
        "ends": array(limit.ends_at for limit in limits),
        "period_ids": array(limit.period_id for limit in limits),
        "new_ids": array(new_ids[: len(limits)]),
        "amounts": array(use.of(limit.unit) for limit in limits),
        "hold_ids": array(new_ids[len(limits) : -1]),
    }


def _refusing(limits: Sequence[Limit], detail: str) -> dict[uuid.UUID, Limit]:
    known = {str(limit.id): limit for limit in limits}
    refusing = [replace(known[id], limit=most, spent=used, reserved=0) for id, most, used in json.loads(detail)]
    return {limit.id: limit for limit in refusing}


def reserve(session: DbSession, counted: Applicable, execution_id: uuid.UUID, attempt_id: uuid.UUID, use: Use) -> None:
    """Hold this use against all that counts it. Raises OverLimit, and has written nothing then."""
    if counted.limits and (refused := hold(session, counted.limits, execution_id, attempt_id, use)):
        raise OverLimit(tightest(refused.values()), counted.zone)


def settle(session: DbSession, attempt_id: uuid.UUID, entry: Charge) -> bool:
    """End what is held with what was used, and write the ledger's line: where it cost something, or a limit of tokens
    or requests counted it. Safe to run twice, and after a void: the first line of an attempt counts, no other.

    True: it used more than was held for it.
    """
    session.flush()
    said = session.connection().exec_driver_sql(_SETTLE, to_settle(attempt_id, entry)).one()
    return bool(said[-1] == "true")


def settle_at_last(session: DbSession, attempt_id: uuid.UUID, entry: Charge) -> Settled:
    """The same as the last that the transaction writes: committed at once, with all that was written before."""
    session.flush()
    message = f"{_SETTLE}; {_END}{_HOW_IT_STANDS}"
    *_, is_over, left = session.connection().exec_driver_sql(message, to_settle(attempt_id, entry)).one()
    session.commit()
    return Settled(is_over == "true", left)


def to_settle(attempt_id: uuid.UUID, entry: Charge) -> dict[str, object]:
    """What quota_settle is told of a call and the ledger's line for it, by name."""
    return {
        "line": new_id_text(),
        "organization": entry.organization_id,
        "attempt": attempt_id,
        "price": entry.price_id,
        "payer": entry.payer,
        "usd": entry.amount,
        "tokens": entry.tokens,
        "remark": entry.note,
    }


def void(session: DbSession, attempt_id: uuid.UUID) -> None:
    """Give back a hold whose request surely never reached the provider, the request itself too."""
    session.flush()
    session.connection().exec_driver_sql(f"SELECT quota_void(%s), {ALIVE}", (str(attempt_id),))


def commit(session: DbSession) -> None:
    """Commit what was held or settled; when this returns it is on the disk, as after any commit.

    The transaction itself ends without waiting for that, and its locks with it. A further record is what waits: its
    flush takes along all that was committed before, of many calls at once. Else calls that share a limit would queue
    for one flush after the other.
    """
    session.flush()
    session.connection().exec_driver_sql(_END)
    session.commit()


def held(session: DbSession, attempt_id: uuid.UUID) -> Use | None:
    """What is held for an attempt; None: nothing is. In money it is nothing where no limit of money counts it."""
    mine = (Reservation.attempt_id == attempt_id, Reservation.state == ReservationState.HELD)
    in_money = select(Hold.id).join(BudgetPeriod).join(Budget).where(Hold.reservation_id == Reservation.id)
    is_money = in_money.where(Budget.unit == Unit.USD).exists()
    found = session.execute(select(Reservation.amount, Reservation.tokens, is_money).where(*mine)).first()
    return Use(found[0] if found[2] else 0, found[1]) if found else None


def prolong(session: DbSession, attempt_id: uuid.UUID) -> None:
    """A hold's time begins anew: what it is held for still goes on."""
    session.execute(
        update(Reservation)
        .where(Reservation.attempt_id == attempt_id, Reservation.state == ReservationState.HELD)
        .values(expires_at=func.now() + GRACE)
        .execution_options(synchronize_session=False)
    )
