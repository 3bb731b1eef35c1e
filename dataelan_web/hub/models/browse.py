"""The list of models: one query for a page of them, with what each costs here and whether it can be used."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import abort
from sqlalchemy import ColumnElement, Row, Select, and_, case, exists, func, or_, select, true
from sqlalchemy.orm import contains_eager

from ... import access, place
from ...extensions import db
from ...models import NANO, APIKey, Correction, KeyStrategy, Model, ModelType, Price, Provider, now
from ...models.base import first_of
from ...models.hub import ENTER_AGAIN
from ...router import names
from ...router.candidates import STREAMING
from ...router.types import Task
from ..endings import days
from . import prices
from .prices import Amount
from .purpose import abilities_of

PAGE = 50
SOON = timedelta(days=60)
FOR_PROGRAMS = (Task.EMBEDDING, Task.RERANK, Task.MODERATION)
"""What they make is nothing for a person to look at."""
SORTS = {"name": "Name", "price": "Price", "context": "Context", "newest": "Newest"}
PRICED, FREE, UNKNOWN = "priced", "free", "unknown"


@dataclass(frozen=True)
class Filters:
    """What is asked for, as the address has it; what makes no sense there is as good as nothing."""

    q: str = ""
    provider: str = ""
    type: str = ""
    task: str = ""
    capability: str = ""
    context: str = ""
    """Tokens at least."""
    price: str = ""
    most: str = ""
    """USD at most, per 1M tokens and per picture, second and request."""
    usable: str = ""
    ending: str = ""
    sort: str = ""

    @classmethod
    def of(cls, arguments: Mapping[str, str]) -> Filters:
        return cls(**{field.name: arguments.get(field.name, "").strip()[:200] for field in fields(cls)})

    @property
    def said(self) -> dict[str, str]:
        """For an address: only what was said."""
        return {name: value for name, value in vars(self).items() if value}

    @property
    def further(self) -> int:
        """How many of the filters behind “More filters” are in use."""
        return sum(bool(getattr(self, name)) for name in ("task", "context", "price", "most", "usable", "ending"))


@dataclass(frozen=True)
class Line:
    """A model as this organization sees it; for the operator, as it is with the platform's keys."""

    model: Model
    price: Price | None
    """What it costs here now; None: unknown."""
    is_usable: bool
    """There is a key that may be used for it, or none is needed."""
    is_gone: bool
    """Its provider was asked again since, and did not list it any more."""
    is_allowed: bool = True
    """Its provider may get this organization's prompts."""
    correction: Correction | None = None
    """What this organization says itself of one of everyone's."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    @property
    def amounts(self) -> tuple[Amount | None, Amount | None]:
        return prices.headline(self.price, self.model.task) if self.price else (None, None)

    @property
    def is_free(self) -> bool:
        return self.price is not None and prices.is_free(self.price)

    @property
    def ends(self) -> days.End | None:
        return days.end_of(self.model.shutdown_on)

    @property
    def capabilities(self) -> list[str]:
        """As somebody says, this organization before the catalogue; so with what it holds."""
        said = self.correction.capabilities if self.correction else None
        return self.model.capabilities if said is None else said

    @property
    def context_window(self) -> int | None:
        return (self.correction and self.correction.context_window) or self.model.context_window

    @property
    def max_output_tokens(self) -> int | None:
        return (self.correction and self.correction.max_output_tokens) or self.model.max_output_tokens

    @property
    def abilities(self) -> list[str]:
        return abilities_of(self.model.name, self.capabilities)

    @property
    def full_name(self) -> str:
        """What a program or a session asks for."""
        return f"{self.model.provider.slug}/{self.model.name}"


def search(filters: Filters, page: int) -> tuple[list[Line], int, int]:
    """(one page of what matches, how many match in all, which page it is: the last where there are not so many)."""
    query = _matching(filters)
    total = db.session.scalar(select(func.count()).select_from(query.with_only_columns(Model.id).subquery())) or 0
    page = min(page, max(-(-total // PAGE), 1))
    rows = db.session.execute(query.order_by(*_order(filters.sort)).limit(PAGE).offset((page - 1) * PAGE))
    return [_line(row) for row in rows], total, page


def line(model_id: uuid.UUID) -> Line:
    """404 unless the signed-in person may see it here."""
    row = db.session.execute(_lines().where(Model.id == model_id)).first()
    return _line(row) if row else abort(404)


def lines(which: ColumnElement[bool]) -> list[Line]:
    return [_line(row) for row in db.session.execute(_lines().where(which).order_by(Model.name))]


def offered(q: str, types: Collection[str], without: Collection[uuid.UUID], limit: int) -> list[Line]:
    """To choose from: by the words of a name or its provider's, those that people use first, and of them those that
    can be used."""
    query = _lines().where(Model.model_type.in_([ModelType(name) for name in types]), Model.id.not_in(without))
    for word in q.split()[:5]:
        pattern = _pattern(word)
        query = query.where(or_(*(name.ilike(pattern) for name in (Model.name, Model.display_name, Provider.name))))
    state = case((_usable(), 0), (Model.is_enabled, 1), else_=2)
    query = query.order_by(Model.task.in_(FOR_PROGRAMS), state, *_order("")).limit(limit)
    return [_line(row) for row in db.session.execute(query)]


def providers_with_models() -> list[Provider]:
    have = access.scoped(Model).with_only_columns(Model.provider_id)
    return list(db.session.scalars(access.scoped(Provider).where(Provider.id.in_(have)).order_by(Provider.name)))


_ABLE = first_of(Correction.capabilities, Model.capabilities)
_WINDOW = first_of(Correction.context_window, Model.context_window)


def _lines() -> Select[Any]:
    is_said = and_(Correction.model_id == Model.id, Correction.organization_id == place.owner_id())
    return (
        place.seen(Model)
        .outerjoin(Price, Price.id == prices.in_force(place.owner_id()))
        .outerjoin(Correction, is_said)
        .add_columns(Price, Correction, _usable().label("is_usable"), _gone().label("is_gone"))
        .add_columns(_allowed().label("is_allowed"))
        .options(contains_eager(Model.provider))
    )


def _line(row: Row[Any]) -> Line:
    return Line(row.Model, row.Price, row.is_usable, row.is_gone, row.is_allowed, row.Correction)


# -- what is asked of each model -----------------------------------------------------------------


def _usable() -> ColumnElement[bool]:
    """In use and allowed, with a key that may be used here, and may and can use the model: as executions see it."""
    organization = place.organization()
    ours, platforms = APIKey.organization_id == place.owner_id(), APIKey.organization_id.is_(None)
    owners = {KeyStrategy.BYOK: ours, KeyStrategy.DATAELAN: platforms, KeyStrategy.HYBRID: or_(ours, platforms)}
    strategy = organization.key_strategy if organization else KeyStrategy.DATAELAN
    is_typed_in = and_(Model.listed_at.is_(None), Model.organization_id.is_not(None))
    key = exists().where(
        APIKey.provider_id == Model.provider_id,
        owners[strategy],
        APIKey.is_enabled,
        APIKey.last_error != ENTER_AGAIN,
        or_(APIKey.expires_at.is_(None), APIKey.expires_at > func.now()),
        or_(is_typed_in, _is_empty(APIKey.listed_models), _has(APIKey.listed_models)),
        or_(_is_empty(APIKey.allowed_models), _has(APIKey.allowed_models)),
    )
    in_use = Model.is_enabled, Provider.is_enabled, ~Provider.needs_address, _allowed()
    return and_(*in_use, or_(~Provider.needs_key, key))


def _allowed() -> ColumnElement[bool]:
    """Every provider is, where an organization chose none."""
    organization = place.organization()
    chosen = [uuid.UUID(id) for id in organization.allowed_providers] if organization else []
    return Provider.id.in_(chosen) if chosen else true()


def _gone() -> ColumnElement[bool]:
    """Others may have asked with a key that sees less: what a key of one's own lists is not gone."""
    ours = exists().where(
        APIKey.provider_id == Model.provider_id,
        APIKey.organization_id == place.owner_id(),
        _has(APIKey.listed_models),
        Provider.organization_id.is_(None),
    )
    return func.coalesce(and_(Model.listed_at < Provider.models_listed_at, ~ours), False)


def _is_empty(column: Any) -> ColumnElement[bool]:
    return func.jsonb_array_length(column) == 0


def _has(column: Any) -> ColumnElement[bool]:
    return column.op("@>")(func.to_jsonb(Model.name))  # type: ignore[no-any-return]


def _matching(filters: Filters) -> Select[Any]:
    query = _lines()
    if filters.q:
        pattern = _pattern(filters.q)
        query = query.where(or_(Model.name.ilike(pattern), Model.display_name.ilike(pattern)))
    if filters.provider:
        query = query.where(Provider.slug == filters.provider)
    if filters.type in set(ModelType):
        query = query.where(Model.model_type == ModelType(filters.type))
    if filters.task in set(Task):
        query = query.where(Model.task == filters.task)
    if filters.capability == STREAMING:
        query = query.where(Model.task == Task.CHAT)
    elif filters.capability:
        said = _ABLE.contains([filters.capability])
        query = query.where(or_(said, Model.id.in_(_able_by_name(filters.capability))))
    if filters.context.isdecimal():
        query = query.where(min(int(filters.context), 2**31 - 1) <= _WINDOW)
    if filters.usable:
        query = query.where(_usable())
    if filters.ending:
        query = query.where(Model.id.in_(_ending_soon()))
    return query.where(_state(filters.price), _at_most(filters.most))


def _pattern(words: str) -> str:
    """For LIKE: whatever holds these words, which are taken literally."""
    return "%" + words.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"


def _ending_soon() -> list[uuid.UUID]:
    """Days are as providers write them, so that Python reads them; few models have one."""
    limit = now().date() + SOON
    rows = db.session.execute(
        access.scoped(Model).with_only_columns(Model.id, Model.shutdown_on).where(Model.shutdown_on.is_not(None))
    )
    return [id for id, said in rows if (end := days.end_of(said)) and end.day and end.day <= limit]


def _able_by_name(ability: str) -> list[uuid.UUID]:
    """Those of whom nobody says what they can do, and whose name tells that they can do this."""
    untold = Model.task == Task.CHAT, _is_empty(_ABLE)
    rows = db.session.execute(_lines().with_only_columns(Model.id, Model.name).where(*untold))
    return [id for id, name in rows if ability in names.abilities(name)]


CLASSES = [getattr(Price, name) for name in prices.BY_NAME]


def _state(state: str) -> ColumnElement[bool]:
    """As prices.is_free has it."""
    further = (func.jsonb_array_length(column) > 0 for column in (Price.tiers, Price.variants))
    charged = or_(*further, *(column > 0 for column in CLASSES))
    states = {
        UNKNOWN: Price.id.is_(None),
        FREE: and_(Price.id.is_not(None), ~_true(charged)),
        PRICED: _true(charged),
    }
    return states.get(state, true())


def _true(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """False where it is unknown, as a class without a price makes it."""
    return func.coalesce(condition, False)


def _at_most(usd: str) -> ColumnElement[bool]:
    try:
        most = Decimal(usd.removeprefix("$"))
    except InvalidOperation:
        return true()
    if not most.is_finite() or most < 0:
        return true()
    nano = int(min(most, Decimal(1_000_000)) * NANO)
    return and_(Price.id.is_not(None), *(func.coalesce(column, 0) <= nano for column in CLASSES))


def _order(sort: str) -> tuple[Any, ...]:
    """By price: free ones first, then by tokens, then by picture, second and character; unknown ones last."""
    units = (Price.per_image, Price.per_second, Price.per_character, Price.per_request)
    by_price = (Price.id.is_(None), Price.input + Price.output, *(func.coalesce(unit, 0) for unit in units))
    first: tuple[Any, ...] = {
        "price": by_price,
        "context": (_WINDOW.desc().nulls_last(),),
        "newest": (Model.created_at.desc(),),
    }.get(sort, ())
    return (*first, case((Provider.is_simulated, 1), else_=0), func.lower(Model.display_name), Provider.name, Model.id)
