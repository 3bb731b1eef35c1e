"""Sums over runs for dashboards: what was spent, used and waited for, by time and by whom. Never read for charging.

`rollup_queue` is what still has to be counted: triggers write a line where a run ends or the ledger grows, in the same
transaction. `rollup_keys` says what a sum is of, `rollups` holds the sums, `rollup_recounts` whose are to be made anew,
and `rollup_retags` which sessions have other tags now. See dataelan_web.rollups.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Index, SmallInteger, String, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from .base import Base


class Grain(IntEnum):
    """How long a bucket is. Quarters of an hour begin in UTC, and so in every time zone; hours, days and weeks (from
    Monday on) are those of the organization's time zone."""

    QUARTER = 0
    HOUR = 1
    DAY = 2
    WEEK = 3


UNITS = ("provider_id", "model_id", "api_key_id")
PEOPLE = ("project_id", "user_id")
WORDS = ("payer", "model_type", "origin", "outcome", "error")
TAGS = "tags"
"""All tags of a run, in order: of a sum with several, each of them has all of it."""
DIMENSIONS = (*PEOPLE, *UNITS, *WORDS, TAGS)
"""What a sum is of. None is ever NULL: the nil id, no word or no tags stand for none, and for what a cut leaves out."""

TOKENS = ("tokens_input", "tokens_cache_read", "tokens_cache_write", "tokens_output", "tokens_reasoning")
CALLS = ("attempts", "retries", "fallbacks", "rate_limited")
"""Of the calls of a run: how many there were, after which the same model was called again, or another one, and which
were refused for their rate (or the run was, by a limit of ours, before there was any)."""
COUNTERS = ("runs", "failed", *CALLS, "unpriced", *TOKENS, "cost", "streamed_tokens", "streamed_ms")
HISTOGRAMS = ("first_token", "total")

ROLLUP_QUEUE = Table(
    "rollup_queue",
    Base.metadata,
    Column("id", BigInteger, primary_key=True),
    Column("execution_id", Uuid, nullable=False),
    Column("entry_id", Uuid),
    Column("runs", SmallInteger, nullable=False, server_default="0"),
    Column("unpriced", SmallInteger, nullable=False, server_default="0"),
)
"""A run that ended (runs 1), one whose cost is known since (unpriced −1), or a line of the ledger (entry_id)."""


def _no_default(name: str, type: Any) -> Column[Any]:
    return Column(name, type, nullable=False)


ROLLUP_KEYS = Table(
    "rollup_keys",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    _no_default("cut", SmallInteger),
    *(_no_default(name, Uuid) for name in (*PEOPLE, *UNITS)),
    *(_no_default(name, String(30)) for name in WORDS),
    _no_default(TAGS, ARRAY(Text)),
    Index("ix_rollup_keys_organization_id_cut", "organization_id", "cut"),
)
"""What a sum is of. Its id is a digest of all that it says, so that whoever counts needs no look-up."""

ROLLUPS = Table(
    "rollups",
    Base.metadata,
    Column("key_id", ForeignKey("rollup_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("grain", SmallInteger, primary_key=True, autoincrement=False),
    Column("bucket", DateTime(timezone=True), primary_key=True),
    *(_no_default(name, BigInteger) for name in COUNTERS),
    *(_no_default(name, ARRAY(BigInteger)) for name in HISTOGRAMS),
)
"""Sums of one bucket. `cost` is the ledger's, in nano-USD; histograms hold `bin << 40 | count` (rollups.histogram),
where a bin may stand several times, and a count may be one less than nothing: they are added modulo 2^40. By key first:
a filter finds its keys, and reads nothing else."""

ROLLUP_RECOUNTS = Table(
    "rollup_recounts",
    Base.metadata,
    Column("organization_id", ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
    Column("asked_at", DateTime(timezone=True), nullable=False),
)
"""Organizations whose sums are to be made anew, because their days begin at another time now. Until that is done
nothing of theirs is counted; it waits."""

ROLLUP_RETAGS = Table(
    "rollup_retags",
    Base.metadata,
    Column("session_id", ForeignKey("prompt_sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("asked_at", DateTime(timezone=True), nullable=False),
)
"""Sessions whose tags changed: their runs get them, and are counted with them (rollups.retagging)."""
