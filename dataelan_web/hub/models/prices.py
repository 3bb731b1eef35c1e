"""The price book: which price is in force, and how a new one comes to be.

Rows are never changed, but for the end of an organization's own. In force is a row whose time has come and not yet
ended; an organization's own goes before everyone's, and among those of one kind the latest counts.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from ... import audit
from ...executions.candidates import IN_FORCE, OWN_FIRST
from ...extensions import db
from ...formats import exact_money
from ...models import Model, Organization, Price, Provider, now
from ...router.types import Task
from . import catalogue

OWN, OPERATOR = "your organization", "the operator"
"""The sources of a price that an organization set itself, and of one that the operator did."""

TOKENS = "1M tokens"
LARGER = {"second": ("hour", 3_600), "character": ("1M characters", 1_000_000)}


@dataclass(frozen=True)
class PriceClass:
    """One of the things that are paid for; `name` is its column in Price."""

    name: str
    label: str
    unit: str = TOKENS
    otherwise: str = "nothing"
    """What is charged where it has no price of its own."""


CLASSES = (
    PriceClass("input", "Input"),
    PriceClass("cache_read", "Cached input", otherwise="as input"),
    PriceClass("cache_write", "Cache write", otherwise="as input"),
    PriceClass("cache_write_1h", "Cache write, 1 hour", otherwise="as cache write"),
    PriceClass("output", "Output"),
    PriceClass("input_audio", "Sound in", otherwise="as input"),
    PriceClass("input_image", "Pictures in", otherwise="as input"),
    PriceClass("output_audio", "Sound out", otherwise="as output"),
    PriceClass("output_image", "Pictures out", otherwise="as output"),
    PriceClass("per_image", "Picture", "image"),
    PriceClass("per_second", "Time", "second"),
    PriceClass("per_character", "Text", "character"),
    PriceClass("per_request", "Request", "request"),
)
BY_NAME = {one.name: one for one in CLASSES}

# The two classes that tell most about a model's price, by its task: what goes in, what comes out.
HEADLINES: dict[Task, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Task.CHAT: (("input",), ("output",)),
    Task.IMAGE: (("input",), ("per_image", "output_image", "output")),
    Task.SPEECH: (("per_character", "input"), ("per_second", "output_audio", "output")),
    Task.TRANSCRIPTION: (("per_second", "input_audio", "input"), ("output",)),
    Task.VIDEO: (("input",), ("per_second", "output")),
    Task.EMBEDDING: (("input",), ()),
    Task.RERANK: (("per_request", "input"), ()),
    Task.MODERATION: (("input",), ()),
}


@dataclass(frozen=True)
class Amount:
    """What one class costs, in nano-USD."""

    of: PriceClass
    nano: int

    @property
    def exact(self) -> str:
        """To the last digit, and by the unit people count in where ours is small."""
        larger, times = LARGER.get(self.of.unit, ("", 0))
        also = f", {exact_money(self.nano * times)} per {larger}" if larger else ""
        return f"{exact_money(self.nano)} per {self.of.unit}{also}"


def headline(price: Price, task: str) -> tuple[Amount | None, Amount | None]:
    """(for what goes in, for what comes out); None: nothing is charged for it by itself."""
    taken, made = HEADLINES[Task(task)]
    return _first(price, taken), _first(price, made)


def amounts(price: Price) -> list[Amount]:
    """Every class that has a price of its own; of a free model, none."""
    return [Amount(one, nano) for one in CLASSES if (nano := getattr(price, one.name))]


def variants(price: Price) -> list[tuple[str, Amount]]:
    """(what is asked for, what it costs then)"""
    return [
        (" ".join(one["when"]), Amount(BY_NAME[name], one[name]))
        for one in price.variants
        for name in ("per_image", "per_second")
        if name in one
    ]


def is_free(price: Price) -> bool:
    return not amounts(price) and not price.tiers and not price.variants


def _first(price: Price, names: Iterable[str]) -> Amount | None:
    return next((Amount(BY_NAME[name], nano) for name in names if (nano := getattr(price, name))), None)


# -- which price is in force ---------------------------------------------------------------------


def in_force(organization_id: uuid.UUID | None) -> ColumnElement[uuid.UUID]:
    """The id of the price in force for this organization (None: everyone's), beside each Model of a query."""
    return (
        select(Price.id)
        .where(Price.model_id == Model.id, _is_on(organization_id))
        .order_by(*OWN_FIRST)
        .limit(1)
        .correlate(Model)
        .scalar_subquery()
    )


def current(model: Model, organization: Organization) -> Price | None:
    """What this organization pays for the model now. None: unknown."""
    return db.session.scalars(
        select(Price).where(Price.model_id == model.id, _is_on(organization.id)).order_by(*OWN_FIRST).limit(1)
    ).first()


def coming(model: Model, organization: Organization, at: datetime) -> Price | None:
    """The organization's own price that is set to begin just then."""
    its = (Price.model_id == model.id, Price.organization_id == organization.id, Price.effective_at == at)
    return db.session.scalars(select(Price).where(*its, is_to_come(now())).order_by(Price.id.desc())).first()


def history(model: Model, organization: Organization) -> list[Price]:
    """Every version this organization may see: everyone's and its own, the latest first."""
    return list(
        db.session.scalars(
            select(Price)
            .where(Price.model_id == model.id, _is_ours(organization.id))
            .order_by(Price.effective_at.desc(), Price.id.desc())
        )
    )


def _is_ours(organization_id: uuid.UUID | None) -> ColumnElement[bool]:
    return or_(Price.organization_id == organization_id, Price.organization_id.is_(None))


def _is_on(organization_id: uuid.UUID | None) -> ColumnElement[bool]:
    return and_(_is_ours(organization_id), IN_FORCE)


# -- an organization's own prices ----------------------------------------------------------------


def set_price(
    model: Model,
    organization: Organization,
    user_id: uuid.UUID | None,
    values: Mapping[str, int | None],
    starts_at: datetime | None = None,
    variants: Sequence[Mapping[str, Any]] = (),
) -> Price:
    """A price of the organization's own, from now or a later time on: {class: nano-USD}; all zeros is free. Commits."""
    price = put_price(model, organization, user_id, values, starts_at, variants)
    db.session.commit()
    return price


def put_price(
    model: Model,
    organization: Organization,
    user_id: uuid.UUID | None,
    values: Mapping[str, int | None],
    starts_at: datetime | None = None,
    variants: Sequence[Mapping[str, Any]] = (),
) -> Price:
    """Like `set_price`, within a transaction of the caller's.

    It ends the own price before it, and is itself ended by one that is already set for later. History stays.
    """
    _one_at_a_time(model)
    moment = now()
    begin = max(starts_at or moment, moment)
    own = and_(Price.model_id == model.id, Price.organization_id == organization.id)
    after = db.session.scalar(select(func.min(Price.effective_at)).where(own, is_to_come(begin)))
    db.session.execute(
        update(Price)
        .where(own, Price.effective_at <= begin, or_(Price.ends_at.is_(None), Price.ends_at > begin))
        .values(ends_at=begin)
    )
    whole = {name: values.get(name) or 0 for name in ("input", "output", "per_request")}
    price = Price(
        model_id=model.id,
        organization_id=organization.id,
        source=OWN,
        created_by=user_id,
        effective_at=begin,
        ends_at=after,
        variants=[dict(one) for one in variants],
        **({name: values.get(name) for name in BY_NAME} | whole),
    )
    db.session.add(price)
    said = {name: nano for name, nano in values.items() if nano is not None}
    audit.record("price.set", model, organization.id, starts_at=begin.isoformat(), **said)
    return price


def end_price(price: Price, model: Model) -> None:
    """End one of the organization's own prices now, or call off one that is still to come. Commits.

    From then on everyone's price counts again, or none is known."""
    _one_at_a_time(model)
    db.session.refresh(price)
    moment = now()
    if price.ends_at is None or price.ends_at > moment:
        price.ends_at = max(moment, price.effective_at)
        audit.record("price.ended", model, price.organization_id, ended_at=price.ends_at.isoformat())
    db.session.commit()


def is_to_come(after: datetime) -> ColumnElement[bool]:
    """Not called off, either."""
    return and_(Price.effective_at > after, or_(Price.ends_at.is_(None), Price.ends_at > Price.effective_at))


def _one_at_a_time(model: Model) -> None:
    """Two prices of one model that are set at the same moment must see each other."""
    db.session.execute(select(Model.id).where(Model.id == model.id).with_for_update(key_share=True))


# -- everyone's, by the operator or from the catalogue ---------------------------------------------


def set_everyones(model: Model, values: Mapping[str, int]) -> Price:
    """By the operator, from now on and whatever the catalogue says: {class: nano-USD}; none is free. Commits."""
    _one_at_a_time(model)
    whole = {name: values.get(name, 0) for name in ("input", "output", "per_request")}
    price = Price(model_id=model.id, source=OPERATOR, **({name: values.get(name) for name in BY_NAME} | whole))
    db.session.add(price)
    audit.record("price.set", model, None, **values)
    db.session.commit()
    return price


def refresh(models: Iterable[Model] | None = None) -> int:
    """A new row for every model whose price in the installed catalogue is not the newest of everyone's.

    For these models, or for all. What has another source (a server of one's own) stays as it is. Does not commit.
    """
    query = select(Model, Provider.catalogue).join(Model.provider).where(Provider.catalogue != "")
    if models is not None:
        query = query.where(Model.id.in_([model.id for model in models]))
    rows = db.session.execute(query).all()
    newest = _newest([model.id for model, _ in rows])
    return sum(_add_new(model, name, newest.get(model.id)) for model, name in rows)


def _newest(ids: list[uuid.UUID]) -> dict[uuid.UUID, Price]:
    """Everyone's latest price of each model, whether its time has come or not."""
    rows = db.session.scalars(
        select(Price)
        .where(Price.model_id.in_(ids), Price.organization_id.is_(None))
        .order_by(Price.model_id, Price.effective_at.desc(), Price.id.desc())
        .ext(distinct_on(Price.model_id))
    )
    return {price.model_id: price for price in rows}


def _add_new(model: Model, provider: str, newest: Price | None) -> bool:
    if newest is not None and not newest.source.startswith(catalogue.NAME):
        return False
    known = catalogue.look_up(provider, model.name)
    if known is None or known.price is None or (newest is not None and _facts(newest) == _facts(known.price)):
        return False
    known.price.model_id = model.id
    db.session.add(known.price)
    return True


def _facts(price: Price) -> tuple[Any, ...]:
    return (*(getattr(price, name) for name in BY_NAME), price.tiers or [])
