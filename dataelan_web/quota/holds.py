"""Reserve the most an attempt can use, settle what it used, give back what was never sent.

The work is done in three functions of the database (migration 0003), each in one round trip: a reservation is held
against every limit or none, and ends once. They lock what they change until the transaction ends, so they are called
last in it, and `commit` ends it: the row of a limit that everyone shares is locked for a moment, and never while a
disk writes.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Interval,
    Text,
    Uuid,
    bindparam,
    column,
    func,
    select,
    text,
    true,
    update,
)

from ..models import LedgerEntry, Reservation, ReservationState, new_id
from ..models.base import DbSession
from ..models.locks import ALIVE
from .amounts import Use
from .limits import Applicable, Limit
from .refusals import OverLimit, tightest

GRACE = timedelta(minutes=20)
"""How long past its making a hold may stand before the sweeper ends it: longer than any call may last."""

HOLD: dict[str, Any] = {
    "reservation": Uuid,
    "attempt": Uuid,
    "execution": Uuid,
    "usd": BigInteger,
    "tokens": BigInteger,
    "stands": Interval,
    "budget_ids": ARRAY(Uuid),
    "starts": ARRAY(DateTime(timezone=True)),
    "ends": ARRAY(DateTime(timezone=True)),
    "period_ids": ARRAY(Uuid),
    "new_ids": ARRAY(Uuid),
    "amounts": ARRAY(BigInteger),
    "hold_ids": ARRAY(Uuid),
}
SETTLE: dict[str, Any] = {
    "line": Uuid,
    "organization": Uuid,
    "attempt": Uuid,
    "price": Uuid,
    "payer": Text,
    "usd": BigInteger,
    "tokens": BigInteger,
    "remark": Text,
}


def _binds(parameters: dict[str, Any]) -> list[Any]:
    return [bindparam(name, type_=kind) for name, kind in parameters.items()]


_REFUSED = column("refusing", Uuid), column("most", BigInteger), column("used", BigInteger)
_REFUSING = func.quota_hold(*_binds(HOLD)).table_valued(*_REFUSED).lateral()
# One row at least, since nothing is set where none is found.
_HOLD = select(_REFUSING).select_from(ALIVE.table_valued("alive").alias().outerjoin(_REFUSING, true()))
_SETTLE = select(func.quota_settle(*_binds(SETTLE)), ALIVE)
_END_AND_FLUSH = text("COMMIT; BEGIN; SELECT pg_logical_emit_message(true, 'dataelan', '')")
_VOID = select(func.quota_void(bindparam("attempt", type_=Uuid)), ALIVE)


def hold(
    session: DbSession, limits: Sequence[Limit], execution_id: uuid.UUID, attempt_id: uuid.UUID, use: Use
) -> dict[uuid.UUID, Limit]:
    """Hold this use against every limit, or nothing: then the limits that refuse, as they are now."""
    rows = session.execute(
        _HOLD,
        {
            "reservation": new_id(),
            "attempt": attempt_id,
            "execution": execution_id,
            "usd": use.usd,
            "tokens": use.tokens,
            "stands": GRACE,
            "budget_ids": [limit.id for limit in limits],
            "starts": [limit.starts_at for limit in limits],
            "ends": [limit.ends_at for limit in limits],
            "period_ids": [limit.period_id for limit in limits],
            "new_ids": [new_id() for _ in limits],
            "amounts": [use.of(limit.unit) for limit in limits],
            "hold_ids": [new_id() for _ in limits],
        },
    ).all()
    known = {limit.id: limit for limit in limits}
    return {
        row.refusing: replace(known[row.refusing], limit=row.most, spent=row.used, reserved=0)
        for row in rows
        if row.refusing
    }


def reserve(session: DbSession, counted: Applicable, execution_id: uuid.UUID, attempt_id: uuid.UUID, use: Use) -> None:
    """Hold this use against all that counts it. Raises OverLimit, and has written nothing then."""
    if counted.limits and (refused := hold(session, counted.limits, execution_id, attempt_id, use)):
        raise OverLimit(tightest(refused.values()), counted.zone)


def settle(session: DbSession, attempt_id: uuid.UUID, entry: LedgerEntry) -> bool:
    """End what is held with what was used, and write the ledger's line: where it cost something, or a limit of tokens
    or requests counted it. Safe to run twice, and after a void: the first line of an attempt counts, no other.

    True: it used more than was held for it. The line says “overrun”, and has it in full.
    """
    is_over: bool = session.execute(
        _SETTLE,
        {
            "line": new_id(),
            "organization": entry.organization_id,
            "attempt": attempt_id,
            "price": entry.price_id,
            "payer": entry.payer,
            "usd": entry.amount,
            "tokens": entry.tokens or 0,
            "remark": entry.note or "",
        },
    ).scalar_one()
    return is_over


def void(session: DbSession, attempt_id: uuid.UUID) -> None:
    """Give back a hold whose request surely never reached the provider, the request itself too."""
    session.execute(_VOID, {"attempt": attempt_id})


def commit(session: DbSession) -> None:
    """Commit what was held or settled; when this returns it is on the disk, as after any commit.

    The transaction itself ends without waiting for that, and its locks with it. A further record is what waits: its
    flush takes along all that was committed before, of many calls at once. Else calls that share a limit would queue
    for one flush after the other.
    """
    session.flush()
    session.execute(_END_AND_FLUSH)
    session.commit()


def held(session: DbSession, attempt_id: uuid.UUID) -> Use | None:
    """What is held for an attempt; None: nothing is. In money it is nothing where no limit of money counts it."""
    mine = (Reservation.attempt_id == attempt_id, Reservation.state == ReservationState.HELD)
    found = session.execute(select(Reservation.amount, Reservation.tokens).where(*mine)).first()
    return Use(found.amount, found.tokens) if found else None


def prolong(session: DbSession, attempt_id: uuid.UUID) -> None:
    """A hold's time begins anew: what it is held for still goes on."""
    session.execute(
        update(Reservation)
        .where(Reservation.attempt_id == attempt_id, Reservation.state == ReservationState.HELD)
        .values(expires_at=func.now() + GRACE)
        .execution_options(synchronize_session=False)
    )
