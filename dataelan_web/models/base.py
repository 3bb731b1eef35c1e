"""What every table shares: ids that cannot be guessed, UTC times, money as integer nano-USD."""

from __future__ import annotations

import enum
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
import uuid_utils
import uuid_utils.compat
from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    case,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session


def new_id() -> uuid.UUID:
    """UUID version 7: 74 random bits after a millisecond clock, so unguessable yet in time order
    (indexes stay compact, and a table can be partitioned by month on its id)."""
    return uuid_utils.compat.uuid7()


def new_id_text() -> str:
    """The same as it is written, for what nobody here compares: a fourth of the work."""
    return str(uuid_utils.uuid7())


def now() -> datetime:
    return datetime.now(UTC)


class Storable(TypeDecorator[str]):
    """Text without what PostgreSQL cannot keep: NUL is dropped, half a surrogate pair becomes “?”."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return storable(value) if value else value


class LongStorable(Storable):
    impl = Text
    cache_ok = True


def _word(value: Any) -> str:
    """What orjson writes as a word, and Python's encoder does not by itself."""
    if isinstance(value, uuid.UUID | datetime):
        return str(value)
    raise TypeError(f"no JSON has {type(value).__name__}")


_encoded_by_python = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_word).encode
_escaped_by_python = json.JSONEncoder(separators=(",", ":"), default=_word).encode


def as_json(value: Any) -> str:
    """Ids and times are words. By orjson; what it does not take, by Python's own encoder, which takes ten times as
    long: numbers of more than 64 bits, half a surrogate pair, names that are no text. Raises TypeError."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return _encoded_by_python(value)


def json_bytes(value: Any) -> bytes:
    """The same as it goes over a wire. Half a surrogate pair, which no UTF-8 can hold, is escaped, and then all that is
    not ASCII."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return _escaped_by_python(value).encode()


def storable_json(value: Any) -> str:
    """JSON that PostgreSQL takes: the engine's serializer for JSONB."""
    said = storable(as_json(value))
    return re.sub(r"(\\\\)|\\u0000", r"\1", said) if "\\u0000" in said else said  # an escaped backslash stays


def storable(words: str) -> str:
    return words.replace("\x00", "").encode("utf-8", "replace").decode()


Id = Annotated[uuid.UUID, mapped_column(primary_key=True, default=new_id)]
Time = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Nano = Annotated[int, mapped_column(BigInteger)]
"""Money: whole billionths of a US dollar. 9.2 thousand million USD fit in a BIGINT."""
Name = Annotated[str, mapped_column(Storable(200))]
Long = Annotated[str, mapped_column(LongStorable)]
Json = Annotated[dict[str, Any], mapped_column(JSONB)]
JsonList = Annotated[list[Any], mapped_column(JSONB)]

NANO = 1_000_000_000

DbSession = Session | scoped_session[Any]
"""A session of one's own, or `db.session`, which is the one of the current request or job."""


NIL = uuid.UUID(int=0)
"""Stands for “no organization” in unique indexes, where NULLs would never collide (PostgreSQL before 15)."""


class Base(DeclarativeBase):
    # Enumerations are checked text, not PostgreSQL enum types: a new member is an ordinary migration.
    type_annotation_map = {
        enum.Enum: Enum(
            enum.Enum,
            native_enum=False,
            create_constraint=True,
            length=20,
            values_callable=lambda members: [member.value for member in members],
        )
    }
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )

    id: Mapped[Id]
    created_at: Mapped[Time] = mapped_column(default=now)


def parent(target: str, *, index: bool = True, **options: Any) -> Any:
    """A foreign key to a row this one cannot live without."""
    return mapped_column(ForeignKey(target, ondelete="CASCADE"), index=index, **options)


def evidence(target: str) -> Any:
    """A foreign key to a row that history speaks of: as long as this one is there, the other cannot be deleted."""
    return mapped_column(ForeignKey(target))


def reference(target: str, *, index: bool = False, **options: Any) -> Any:
    """A foreign key that history outlives: cleared when the other row goes."""
    return mapped_column(ForeignKey(target, ondelete="SET NULL"), index=index, **options)


def first_of(*columns: Any) -> Any:
    """The first that is there: coalesce(), but so that a row is found by it in an index where row-level security holds.
    PostgreSQL takes CASE for leakproof, and coalesce() not."""
    *before, last = columns
    return case(*((column.is_not(None), column) for column in before), else_=last)


class Trashable:
    """A row that a delete only puts into the trash, for `IN_TRASH`; then executions/purge.py takes its content.

    access.py leaves it, and all that is in it, out of every look-up.
    """

    deleted_at: Mapped[Time | None]
    deleted_by: Mapped[uuid.UUID | None] = reference("users.id")

    def discard(self, user_id: uuid.UUID | None) -> None:
        self.deleted_at, self.deleted_by = now(), user_id

    def restore(self) -> None:
        self.deleted_at = self.deleted_by = None


IN_TRASH = timedelta(days=30)


def in_trash(table: str) -> Index:
    """Of what is in the trash, the longest first. For __table_args__."""
    return Index(f"ix_{table}_deleted_at", "deleted_at", postgresql_where=text("deleted_at IS NOT NULL"))
