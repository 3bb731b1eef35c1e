"""What tokens of models cost by the price book, for comparing: nothing is charged by this."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import distinct_on

from ..executions.candidates import OWN_FIRST
from ..extensions import db
from ..models import Price
from ..models.base import NIL
from .sums import Sums


@dataclass(frozen=True)
class Listed:
    """Nano-USD per 1,000,000 tokens of each class, and per request."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    request: int = 0


def in_force(organization_id: uuid.UUID, models: Iterable[Any], at: datetime) -> dict[Any, Listed]:
    """{model: its price then}, an organization's own before everyone's; without steps by size. Models without one are
    left out."""
    wanted = [id for id in set(models) if isinstance(id, uuid.UUID) and id != NIL]
    query = (
        select(Price.model_id, Price.input, Price.cache_read, Price.cache_write, Price.output, Price.per_request)
        .ext(distinct_on(Price.model_id))
        .where(Price.model_id.in_(wanted), Price.effective_at <= at, or_(Price.ends_at.is_(None), Price.ends_at > at))
        .where(or_(Price.organization_id.is_(None), Price.organization_id == organization_id))
        .order_by(Price.model_id, *OWN_FIRST)
    )
    return {
        id: Listed(input, _or(read, input), _or(write, input), output, request)
        for id, input, read, write, output, request in (db.session.execute(query) if wanted else ())
    }


def cost(of: Sums, listed: Listed) -> int:
    """What these runs would cost, in nano-USD × 1,000,000."""
    return (
        of.tokens_input * listed.input
        + of.tokens_cache_read * listed.cache_read
        + of.tokens_cache_write * listed.cache_write
        + (of.tokens_output + of.tokens_reasoning) * listed.output
        + of.runs * listed.request * 1_000_000
    )


def saved_by_cache(of: Sums, listed: Listed) -> int:
    """What reading from a cache cost less than reading anew, less what writing into it cost more: in the same."""
    read = of.tokens_cache_read * (listed.input - listed.cache_read)
    return read - of.tokens_cache_write * (listed.cache_write - listed.input)


def _or(price: int | None, plain: int) -> int:
    return plain if price is None else price
