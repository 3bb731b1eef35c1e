"""The price catalogue to look through: what a key of each provider would bring, before there is one.

Nothing of it can be asked for. Names are the catalogue's, which knows a few that their providers have long retired.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import func, select

from ... import access
from ...extensions import db
from ...models import APIKey, ModelType, Price, Provider
from ...router.types import Task
from . import catalogue, prices
from .browse import FREE, PAGE, PRICED, UNKNOWN, Filters
from .browse import SORTS as ALL_SORTS
from .prices import Amount
from .purpose import SOUGHT, sought_of, task_of

SORTS = {key: ALL_SORTS[key] for key in ("name", "price", "context")}


@dataclass(frozen=True)
class Entry:
    """One model of one catalogue, as the templates of models read it."""

    name: str
    display_name: str
    model_type: ModelType
    task: Task
    context_window: int | None
    price: Price | None
    amounts: tuple[Amount | None, Amount | None]
    is_free: bool
    is_deprecated: bool
    abilities: frozenset[str]
    """What its name tells that it can at least: the catalogue says nothing of it."""

    @property
    def price_state(self) -> str:
        return UNKNOWN if self.price is None else FREE if self.is_free else PRICED


@dataclass(frozen=True)
class Offer:
    """It, at one provider that everyone could connect."""

    entry: Entry
    provider: Provider
    is_connected: bool
    """The organization has a key there already: what it can use is among its models."""


def search(filters: Filters, page: int) -> tuple[list[Offer], int, int]:
    """(one page of what matches, how many match in all, which page it is: the last where there are not so many)."""
    with_key = set(db.session.scalars(access.scoped(APIKey).with_only_columns(APIKey.provider_id)))
    found = [
        Offer(entry, provider, provider.id in with_key)
        for provider in providers()
        if filters.provider in ("", provider.slug)
        for entry in _entries(provider.catalogue)
        if _matches(entry, filters)
    ]
    found.sort(key=ORDERS.get(filters.sort, _by_name))
    page = min(page, max(-(-len(found) // PAGE), 1))
    return found[(page - 1) * PAGE : page * PAGE], len(found), page


def providers() -> list[Provider]:
    """Everyone's that the catalogue knows, by name."""
    known = select(Provider).where(Provider.organization_id.is_(None), Provider.catalogue != "", Provider.is_enabled)
    return list(db.session.scalars(known.order_by(func.lower(Provider.name))))


@lru_cache(maxsize=100)
def _entries(name: str) -> list[Entry]:
    """Of one provider, read once a process: the catalogue changes with its release only."""
    found = []
    for model, known in catalogue.models_of(name):
        if use := task_of(model, known=known):
            amounts = prices.headline(known.price, use[1]) if known.price else (None, None)
            is_free = known.price is not None and prices.is_free(known.price)
            able = frozenset(sought_of(model, use[1].value))
            window, ends = known.context_window, known.is_deprecated
            found.append(Entry(model, known.name, *use, window, known.price, amounts, is_free, ends, able))
    return found


def _matches(entry: Entry, filters: Filters) -> bool:
    text = f"{entry.name}\n{entry.display_name}".lower()
    least = int(filters.context) if filters.context.isdecimal() else 0
    return (
        all(word in text for word in filters.q.lower().split())
        and (filters.type not in set(ModelType) or entry.model_type == filters.type)
        and (filters.capability not in SOUGHT or filters.capability in entry.abilities)
        and (filters.price not in (PRICED, FREE, UNKNOWN) or filters.price == entry.price_state)
        and (entry.context_window or 0) >= least
    )


def _by_name(offer: Offer) -> tuple[Any, ...]:
    return offer.entry.display_name.lower(), offer.provider.name.lower(), offer.entry.name


def _by_price(offer: Offer) -> tuple[Any, ...]:
    """By tokens first, then by picture, second and character; unknown ones last."""
    price = offer.entry.price
    if price is None:
        return True, 0, 0, *_by_name(offer)
    units = (price.per_image, price.per_second, price.per_character, price.per_request)
    return False, price.input + price.output, max(unit or 0 for unit in units), *_by_name(offer)


def _by_context(offer: Offer) -> tuple[Any, ...]:
    return -(offer.entry.context_window or 0), *_by_name(offer)


ORDERS: dict[str, Callable[[Offer], tuple[Any, ...]]] = {"price": _by_price, "context": _by_context}
