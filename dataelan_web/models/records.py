"""Rows in memory that are plain records: of what a call wrote by statements (journal.py), in no session.

SQLAlchemy tells its sessions of each value that a row gets, and asks itself at each reading whether it is there. Where
there is no session to be told, that is most of the work of making a row and of reading it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy.orm.attributes import manager_of_class

from .base import Base
from .executions import Attempt, Outcome, Payer
from .measured import Lasted

Row = TypeVar("Row", bound=Base)


def record(model: type[Row], **values: Any) -> Row:
    """One with these values: of columns, and of what it is related to. What is not given is None."""
    row: Row = manager_of_class(model).new_instance()
    note(row, **values)
    return row


def note(row: object, **values: Any) -> None:
    """What is known of it besides, or anew, but for lists of rows; no session that it is in writes that."""
    vars(row).update(values)


def values(row: object, names: Sequence[str]) -> dict[str, Any]:
    """Of any row, two or more of these by name: what is in memory past what SQLAlchemy does at each reading."""
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
