"""How a run is written down: statements of columns, each built once and one round trip, for every prompt takes them.

The rows in memory are plain records of what was written, and belong to no session: a streamed gateway answer outlives
the one in which its call began. So the statements go to the session's connection, past all that it does for objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, exists, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from .actions import Action
from .base import Base, DbSession
from .executions import LEASE, Attempt, Execution, ExecutionBody, Outcome, State
from .locks import ALIVE


def _table(model: type[Base]) -> Table:
    return cast(Table, model.__table__)


_RUN, _BODY, _ATTEMPT, _ACTION = map(_table, (Execution, ExecutionBody, Attempt, Action))

ANNOUNCED = (
    "id", "organization_id", "project_id", "user_id", "token_id", "origin", "model_type", "requested",
    "idempotency_key", "labels", "state", "fence", "lease_owner",
)  # fmt: skip
BODY = ("request", "text", "reasoning", "tool_calls", "segments", "receipt", "error", "notice", "created_at")
BEGUN = (
    "id", "execution_id", "number", "provider_id", "model_id", "api_key_id", "price_id", "model_name", "provider_name",
    "payer",
)  # fmt: skip


def _binds(table: Table, names: tuple[str, ...]) -> list[Any]:
    """Named apart from the columns, which SQLAlchemy takes for values to be set."""
    return [bindparam(f"its_{name}", type_=table.c[name].type) for name in names]


def _values(row: Base, names: tuple[str, ...]) -> dict[str, Any]:
    return {f"its_{name}": getattr(row, name) for name in names}


_THIS, _OURS = _RUN.c.id == bindparam("its_run"), _RUN.c.fence == bindparam("its_fence")


def _ours(id: object, fence: int) -> dict[str, Any]:
    return {"its_run": id, "its_fence": fence}


# -- a run -----------------------------------------------------------------------------------------

_announced = (
    insert(_RUN)
    .from_select(
        [*ANNOUNCED, "lease_until", "started_at"],
        select(*_binds(_RUN, ANNOUNCED), func.now() + LEASE, func.now()),
        include_defaults=True,
    )
    .on_conflict_do_nothing()
    .returning(_RUN.c.id, _RUN.c.created_at)
    .cte("announced")
)
_ANNOUNCE = (
    insert(_BODY)
    .from_select(
        ["id", *BODY],
        select(_announced.c.id, *_binds(_BODY, BODY[:-1]), _announced.c.created_at),
        include_defaults=False,
    )
    .returning(select(_announced.c.created_at).scalar_subquery(), ALIVE)
)
_EMPTY: dict[str, Any] = dict.fromkeys((f"its_{name}" for name in BODY[:-1]), "") | {
    "its_tool_calls": [], "its_segments": [], "its_receipt": {}
}  # fmt: skip
_SAY = update(_BODY).where(_BODY.c.id == bindparam("its_run"))


def announce(session: DbSession, run: Execution) -> bool:
    """Write a run that was claimed before it is there, with its body. False: it is there, or another under its key."""
    written = session.connection().scalar(
        _ANNOUNCE, _values(run, ANNOUNCED) | _EMPTY | {"its_request": run.body.request}
    )
    run.created_at = written or run.created_at
    return written is not None


def say(session: DbSession, run: Execution, **said: Any) -> None:
    """What it came to, in words: columns of its body."""
    session.connection().execute(_SAY, {"its_run": run.id} | said)


_ACT = insert(_ACTION)


def act(session: DbSession, run: Execution, found: Sequence[Mapping[str, Any]]) -> None:
    """The actions in its answer, in order: {kind, title, payload}."""
    if found:
        session.connection().execute(
            _ACT, [{"execution_id": run.id, "position": n, **one} for n, one in enumerate(found)]
        )


# -- an attempt ------------------------------------------------------------------------------------

_BEGIN = (
    insert(_ATTEMPT)
    .from_select(
        BEGUN,
        select(*_binds(_ATTEMPT, BEGUN))
        .select_from(_RUN)
        .where(_THIS, _OURS, _RUN.c.state == State.RUNNING, _RUN.c.cancel_requested_at.is_(None))
        .with_for_update(read=True, key_share=True),
        include_defaults=True,
    )
    .returning(_ATTEMPT.c.started_at, ALIVE)
)
_TAKE_BACK = delete(_ATTEMPT).where(_ATTEMPT.c.id == bindparam("its_id"))
_AMEND = (
    update(_ATTEMPT)
    .where(
        _ATTEMPT.c.id == bindparam("its_id"),
        _ATTEMPT.c.outcome == Outcome.SENT,
        exists(select(literal_column("1")).select_from(_RUN).where(_THIS, _OURS)),
    )
    .returning(_ATTEMPT.c.id, ALIVE)
)


def begin(session: DbSession, attempt: Attempt, fence: int) -> bool:
    """Write that a call is about to be made. False: the run is not this fence's any more, or was asked to stop. Until
    the transaction ends no sweeper takes it away."""
    ours = _ours(attempt.execution_id, fence)
    written = session.connection().scalar(_BEGIN, _values(attempt, BEGUN) | ours)
    attempt.started_at = written or attempt.started_at
    return written is not None


def take_back(session: DbSession, attempt: Attempt) -> None:
    """A call that is not made after all, in the transaction that began it."""
    session.connection().execute(_TAKE_BACK, {"its_id": attempt.id})


def amend(session: DbSession, attempt: Attempt, fence: int, values: Mapping[str, Any]) -> bool:
    """Change an attempt that is open. False: it is closed, or not this fence's to write."""
    ours = {"its_id": attempt.id, **_ours(attempt.execution_id, fence)}
    return session.connection().scalar(_AMEND, {**values, **ours}) is not None
