"""How a run is written down: statements of columns, each built once and one round trip, for every prompt takes them.

The records in memory (records.py) belong to no session: a streamed gateway answer outlives the one in which its call
began. So the statements go to the session's connection, past all that it does for objects.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import (
    ColumnClause,
    Table,
    bindparam,
    delete,
    exists,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from .actions import Action
from .base import Base, DbSession
from .executions import LEASE, Attempt, Execution, ExecutionBody, Outcome, State
from .hub import APIKey, Provider
from .locks import ALIVE
from .records import AttemptRecord, RunRecord


def _table(model: type[Base]) -> Table:
    return cast(Table, model.__table__)


_RUN, _BODY, _ATTEMPT, _ACTION = map(_table, (Execution, ExecutionBody, Attempt, Action))

ANNOUNCED = (
    "id", "organization_id", "project_id", "user_id", "token_id", "origin", "model_type", "requested",
    "idempotency_key", "labels", "state", "fence", "lease_owner",
)  # fmt: skip
COUNTERS = ("tokens_input", "tokens_cache_read", "tokens_cache_write", "tokens_output", "tokens_reasoning")
CLOSED = (
    "state", "rule_id", "provider_id", "model_id", "api_key_id", "payer", "finish", "error_kind", "attempts_made",
    "first_token_at", *COUNTERS, "measures", "cost",
)  # fmt: skip
SAID = ("text", "reasoning", "tool_calls", "segments", "receipt", "error", "notice")
BEGUN = (
    "id", "execution_id", "number", "provider_id", "model_id", "api_key_id", "price_id", "model_name", "provider_name",
    "payer",
)  # fmt: skip
ENDED = (
    "outcome", "first_token_at", "ended_at", "error_kind", "error", "status", "response_id", "response_model",
    *COUNTERS, "measures", "usage_is_estimated", "cost",
)  # fmt: skip


def _binds(table: Table, names: tuple[str, ...], prefix: str = "its_") -> dict[str, Any]:
    """Named apart from the columns, which SQLAlchemy takes for values to be set."""
    return {name: bindparam(prefix + name, type_=table.c[name].type) for name in names}


def _values(row: RunRecord | AttemptRecord, names: tuple[str, ...], prefix: str = "its_") -> dict[str, Any]:
    return {prefix + name: getattr(row, name) for name in names}


_THIS, _OURS = _RUN.c.id == bindparam("its_run"), _RUN.c.fence == bindparam("its_fence")


def _ours(id: object, fence: int) -> dict[str, Any]:
    return {"its_run": id, "its_fence": fence}


# -- a run -----------------------------------------------------------------------------------------

_TEXT: ColumnClause[Any] = literal_column("''")
_LIST: ColumnClause[Any] = literal_column("'[]'::jsonb")
_MAP: ColumnClause[Any] = literal_column("'{}'::jsonb")
_NOTHING = dict.fromkeys(SAID, _TEXT) | {"tool_calls": _LIST, "segments": _LIST, "receipt": _MAP}
_announced = (
    insert(_RUN)
    .from_select(
        [*ANNOUNCED, "lease_until", "started_at", "created_at", "attempts_made", "measures"],
        select(
            *_binds(_RUN, ANNOUNCED).values(),
            func.now() + LEASE,
            func.now(),
            func.now(),
            literal_column("0"),
            _MAP,
        ),
        include_defaults=False,
    )
    .on_conflict_do_nothing()
    .returning(_RUN.c.id, _RUN.c.created_at)
    .cte("announced")
)
_ANNOUNCE = (
    insert(_BODY)
    .from_select(
        ["id", "created_at", "request", *_NOTHING],
        select(
            _announced.c.id,
            _announced.c.created_at,
            *_binds(_BODY, ("request",)).values(),
            *_NOTHING.values(),
        ),
        include_defaults=False,
    )
    .returning(select(_announced.c.created_at).scalar_subquery(), ALIVE)
)
_SAY = update(_BODY).where(_BODY.c.id == bindparam("its_run"))

_closed = (
    update(_RUN)
    .where(_THIS, _OURS, _RUN.c.state == State.RUNNING)
    .values(**_binds(_RUN, CLOSED), finished_at=func.clock_timestamp(), lease_until=None, lease_owner=None)
    .returning(_RUN.c.id)
    .cte("closed")
)
_said = update(_BODY).where(_BODY.c.id == _closed.c.id).values(**_binds(_BODY, SAID)).cte("said")
_ended = (
    update(_ATTEMPT)
    .where(_ATTEMPT.c.id == bindparam("call_id"), _ATTEMPT.c.outcome == Outcome.SENT, exists(select(_closed.c.id)))
    .values(**_binds(_ATTEMPT, ENDED, "call_"), job=null())
    .returning(_ATTEMPT.c.id)
    .cte("ended")
)
_IS_CLOSED, _IS_ENDED = exists(select(_closed.c.id)), exists(select(_ended.c.id))
_FINISH = select(_IS_CLOSED, false(), ALIVE).add_cte(_said)
_FINISH_BOTH = select(_IS_CLOSED, _IS_ENDED, ALIVE).add_cte(_said)


def announce(session: DbSession, run: RunRecord) -> bool:
    """Write a run that was claimed before it is there, with its body. False: it is there, or another under its key."""
    written = session.connection().scalar(_ANNOUNCE, _values(run, ANNOUNCED) | {"its_request": run.request})
    if written is None:
        return False
    run.created_at = written
    return True


def finish(
    session: DbSession, run: RunRecord, fence: int, values: Mapping[str, Any], last: AttemptRecord | None
) -> tuple[bool, bool]:
    """Bring a running execution to its final state: columns of it and its body, of those that ends have; and its last
    attempt, where its end is not written yet. (was it written, was the attempt's?) Not the first: the fence has moved
    on. Not the second: it was closed by somebody else."""
    said = {f"its_{name}": values[name] for name in (*CLOSED, *SAID)} | _ours(run.id, fence)
    if last is None:
        row = session.connection().execute(_FINISH, said).one()
    else:
        row = session.connection().execute(_FINISH_BOTH, said | _values(last, ("id", *ENDED), "call_")).one()
    return row[0], row[1]


def say(session: DbSession, run: RunRecord, **said: Any) -> None:
    """What it came to, in words: columns of its body."""
    session.connection().execute(_SAY, {"its_run": run.id} | said)


def put(session: DbSession, run: RunRecord, **columns: Any) -> None:
    """What few ends have, beside what `finish` writes."""
    session.connection().execute(update(_RUN).where(_RUN.c.id == run.id).values(**columns))


_ACT = insert(_ACTION)


def act(session: DbSession, run: RunRecord, found: Sequence[Mapping[str, Any]]) -> None:
    """The actions in its answer, in order: {kind, title, payload}."""
    if found:
        session.connection().execute(
            _ACT, [{"execution_id": run.id, "position": n, **one} for n, one in enumerate(found)]
        )


# -- an attempt ------------------------------------------------------------------------------------

NOTED_EVERY = timedelta(minutes=1)
_IS_STALE = or_(
    APIKey.last_error != "", APIKey.last_used_at.is_(None), APIKey.last_used_at < func.now() - NOTED_EVERY
)  # fmt: skip
_KEY = (
    select(APIKey.organization_id, APIKey.label, APIKey.ciphertext, Provider.base_url, _IS_STALE.label("is_stale"))
    .join(Provider, Provider.id == APIKey.provider_id)
    .where(APIKey.id == bindparam("its_api_key_id"))
)
_key = _KEY.subquery("key")
_SENT = {
    "outcome": literal_column("'sent'"),
    "started_at": func.clock_timestamp(),
    "created_at": func.now(),
    "error": _TEXT,
    "response_id": _TEXT,
    "response_model": _TEXT,
    "measures": _MAP,
    "usage_is_estimated": literal_column("false"),
}
_begun = (
    insert(_ATTEMPT)
    .from_select(
        [*BEGUN, *_SENT],
        select(*_binds(_ATTEMPT, BEGUN).values(), *_SENT.values())
        .select_from(_RUN)
        .where(_THIS, _OURS, _RUN.c.state == State.RUNNING, _RUN.c.cancel_requested_at.is_(None))
        .with_for_update(read=True, key_share=True),
        include_defaults=False,
    )
    .returning(_ATTEMPT.c.started_at)
    .cte("begun")
)
_BEGIN = select(_begun.c.started_at, ALIVE, *_key.c).select_from(_begun.outerjoin(_key, true()))
_TAKE_BACK = delete(_ATTEMPT).where(_ATTEMPT.c.id == bindparam("its_id"))
_AMEND = (
    update(_ATTEMPT)
    .where(
        _ATTEMPT.c.id == bindparam("its_id"),
        _ATTEMPT.c.outcome == Outcome.SENT,
        exists(select(literal_column("1")).select_from(_RUN).where(_THIS, _OURS, _RUN.c.state == State.RUNNING)),
    )
    .returning(_ATTEMPT.c.id, ALIVE)
)


def begin(session: DbSession, attempt: AttemptRecord, fence: int) -> Any:
    """Write that a call is about to be made, and read the key that it is made with: see `key_of`. None: the run is not
    this fence's any more, or was asked to stop. Until the transaction ends no sweeper takes it away."""
    ours = _ours(attempt.execution_id, fence)
    row = session.connection().execute(_BEGIN, _values(attempt, BEGUN) | ours).first()
    if row:
        attempt.started_at = row.started_at
    return row


def key_of(session: DbSession, id: uuid.UUID | None) -> Any:
    """What a call needs of its key: (organization_id, label, ciphertext, base_url, is_stale). None: it is gone."""
    return session.connection().execute(_KEY, {"its_api_key_id": id}).first()


def take_back(session: DbSession, attempt: AttemptRecord) -> None:
    """A call that is not made after all, in the transaction that began it."""
    session.connection().execute(_TAKE_BACK, {"its_id": attempt.id})


def amend(session: DbSession, attempt: AttemptRecord, fence: int, values: Mapping[str, Any]) -> bool:
    """Change an attempt that is open. False: it is closed, or not this fence's to write, as where its run was put back
    into the queue: what it left at a provider is the next one's."""
    ours = {"its_id": attempt.id, **_ours(attempt.execution_id, fence)}
    return session.connection().scalar(_AMEND, {**values, **ours}) is not None
