"""A run, its calls, and the token that asked for it as plain records, in no session: what is written of them is written
by statements (journal.py).

SQLAlchemy tells its sessions of each value that a row gets, and asks itself at each reading whether it is there. Where
there is no session to be told, that is most of the work of making a row and of reading it. Nor does a rollback empty
records, and a reader may leave in another session.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import itemgetter
from typing import Any

from .callers import Caller, Usable
from .executions import OPEN, Attempt, Execution, Origin, Outcome, Payer, State
from .hub import GatewayToken
from .measured import Lasted
from .workspace import ModelType, Project


def note(row: object, **values: Any) -> None:
    """What is known of it besides, or anew."""
    vars(row).update(values)


def values(row: object, names: Sequence[str]) -> dict[str, Any]:
    """Of a record, or a row, two or more of these by name: of a row past what SQLAlchemy does at each reading."""
    try:
        return dict(zip(names, itemgetter(*names)(vars(row)), strict=True))
    except KeyError:  # it has yet to be read, or is as it is by default
        return {name: getattr(row, name) for name in names}


class _Ended(Lasted):
    """How an attempt ended; until then, as it is in its row."""

    started_at: datetime
    """By the database's clock, once it is written."""
    outcome: Outcome = Outcome.SENT
    first_token_at: datetime | None = None
    ended_at: datetime | None = None
    error_kind: str | None = None
    error: str = ""
    status: int | None = None
    response_id: str = ""
    response_model: str = ""
    tokens_input: int | None = None
    tokens_cache_read: int | None = None
    tokens_cache_write: int | None = None
    tokens_output: int | None = None
    tokens_reasoning: int | None = None
    measures: dict[str, Any] = {}
    usage_is_estimated: bool = False
    cost: int | None = None
    job: dict[str, Any] | None = None


@dataclass
class AttemptRecord(_Ended):
    """An attempt (executions.Attempt) as its run has it in memory: the columns of its row, by their names."""

    id: uuid.UUID
    execution_id: uuid.UUID
    number: int
    provider_id: uuid.UUID | None
    model_id: uuid.UUID | None
    api_key_id: uuid.UUID | None
    price_id: uuid.UUID | None
    model_name: str
    provider_name: str
    payer: Payer

    @classmethod
    def of(cls, row: Attempt) -> AttemptRecord:
        made = cls(*(getattr(row, one.name) for one in fields(cls)))
        note(made, **{name: getattr(row, name) for name in _Ended.__annotations__})
        return made


class _Went:
    """How far a run is; until more is known, as one that its caller is about to run itself."""

    created_at: datetime
    """By the database's clock, once it is written."""
    request: dict[str, Any] = {}
    """The whole prompt, of its body."""
    session_id: uuid.UUID | None = None
    batch_id: uuid.UUID | None = None
    repairs_id: uuid.UUID | None = None
    idempotency_key: str | None = None
    state: State = State.RUNNING
    fence: int = 1
    lease_owner: str | None = None
    lease_until: datetime | None = None
    cancel_requested_at: datetime | None = None
    finished_at: datetime | None = None
    attempts_made: int = 0
    cost: int | None = None

    is_announced = True
    """Is its row written? That of a run that its caller runs itself may be with its first call."""
    is_there = True
    """… and committed?"""
    caller: Caller | None = None
    """The program that asks for it, as it was let in."""
    is_awaited = True
    """Its end is written before its caller has the answer, and not a moment later (executions.behind)."""
    is_known = False
    """Whoever runs it has its cost, its attempts (`made`) and `left_usd` in memory, and there is no more to know."""
    made: Sequence[AttemptRecord] = ()
    """Its attempts so far, by whoever runs it."""
    left_usd: int | None = None
    """Nano-USD that are left of the hard limit that has least, of those that count it; None: none of money does."""


@dataclass
class RunRecord(_Went):
    """A run (executions.Execution) as whoever runs it has it in memory, or asks what would become of it: columns of its
    row, by their names."""

    id: uuid.UUID
    organization_id: uuid.UUID
    project_id: uuid.UUID
    project: Project
    user_id: uuid.UUID | None
    token_id: uuid.UUID | None
    origin: Origin
    model_type: ModelType
    requested: str
    labels: dict[str, Any] | None = None

    @classmethod
    def of(cls, row: Execution, project: Project | None = None) -> RunRecord:
        """`project`: its own, where that is in memory, but not by the session that read the row."""
        made = cls(
            row.id,
            row.organization_id,
            row.project_id,
            project or row.project,
            row.user_id,
            row.token_id,
            row.origin,
            row.model_type,
            row.requested,
            row.labels,
        )
        note(made, **{name: getattr(row, name) for name in _OF_ITS_ROW}, request=row.body.request)
        made.lease_until = vars(row).get("lease_until")  # not asked for: who has only just claimed it knows of none
        return made

    @property
    def hub_version(self) -> int | None:
        """How often the hub was changed, where that is known as its caller is let in (executions.hub_view)."""
        return self.caller.hub if self.caller else None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN


_OF_ITS_ROW = (
    "created_at", "session_id", "batch_id", "repairs_id", "idempotency_key", "state", "fence", "lease_owner",
    "cancel_requested_at", "finished_at", "attempts_made", "cost",
)  # fmt: skip


@dataclass
class TokenRecord(Usable):
    """A gateway token (hub.GatewayToken) as the calls that come with it read it: what is asked at each is read of its
    rows once."""

    id: uuid.UUID
    project: Project
    organization_id: uuid.UUID
    is_suspended: bool
    """Its organization is."""
    service_account_id: uuid.UUID | None
    created_by: uuid.UUID | None
    allows: list[Any]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, row: GatewayToken) -> TokenRecord:
        organization = row.project.organization
        return cls(
            row.id,
            row.project,
            organization.id,
            organization.suspended_at is not None,
            row.service_account_id,
            row.created_by,
            row.allows,
            row.expires_at,
            row.revoked_at,
            row.last_used_at,
        )
