"""Notes of the price book: when the price that an organization pays for a model became another one."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby, pairwise

from flask import g, url_for
from sqlalchemy import or_, select

from .. import currencies, formats
from ..extensions import db
from ..hub.models.prices import CLASSES, TOKENS, PriceClass
from ..models import Happening, Model, Price
from ..models.base import NIL
from .noting import Note
from .ranges import Range

MOST = 2_000
"""Rows of the price book that are looked at."""
SAID = 2
"""Classes of a price that a note tells; of more it says that there are."""


def notes(models: Iterable[object], over: Range) -> list[Note]:
    """Of these models, in the time shown."""
    wanted = [id for id in set(models) if isinstance(id, uuid.UUID) and id != NIL]
    query = (
        select(Model.id, Model.display_name, Price)
        .join(Price, Price.model_id == Model.id)
        .where(Model.id.in_(wanted), Price.effective_at < min(over.end, over.at))
        .where(or_(Price.organization_id.is_(None), Price.organization_id == g.organization.id))
        .order_by(Model.id, Price.effective_at.desc())
        .limit(MOST)
    )
    found: list[Note] = []
    rows = db.session.execute(query) if wanted and g.role is not None else ()
    for (id, name), of_model in groupby(rows, key=lambda row: (row[0], row[1])):
        for at, said in changes([row[2] for row in of_model], over.start, min(over.end, over.at)):
            where = url_for("hub.model", id=id)
            found.append(Note(at.astimezone(over.zone), Happening.PRICE, f"{name}: {said}", "the price book", where))
    return found


def changes(prices: Sequence[Price], start: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """[(when, from what to what)] of one model. A first price changes nothing, and one that nobody pays neither."""
    moments = {price.effective_at for price in prices} | {price.ends_at for price in prices if price.ends_at}
    steps = sorted(at for at in moments if at < end)
    in_force = [(at, _in_force(prices, at)) for at in steps]
    return [
        (at, said)
        for (_, before), (at, after) in pairwise(in_force)
        if at >= start and before and after and (said := _difference(before, after))
    ]


def _in_force(prices: Sequence[Price], at: datetime) -> Price | None:
    """An organization's own before everyone's, and of those the latest (executions.candidates.OWN_FIRST)."""
    then = [one for one in prices if one.effective_at <= at and (one.ends_at is None or one.ends_at > at)]
    return max(then, key=lambda one: (one.organization_id is not None, one.effective_at, one.id), default=None)


def _difference(before: Price, after: Price) -> str:
    changed = [one for one in CLASSES if getattr(before, one.name) != getattr(after, one.name)]
    said = [
        f"{one.label} {_said(one, getattr(before, one.name))} → {_said(one, getattr(after, one.name))}"
        for one in changed[:SAID]
    ]
    further = [f"and {len(changed) - SAID} more"] if len(changed) > SAID else []
    return ", ".join([*said, *further])


def _said(of: PriceClass, nano: int | None) -> str:
    if nano is None:
        return of.otherwise
    is_exact = of.unit != TOKENS and currencies.here().is_dollars
    return formats.exact_money(nano) if is_exact else formats.price(nano)
