"""What the router may choose from, read from the database: rules, models, prices and keys of one project."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, func, or_, select, true
from sqlalchemy.orm import selectinload

from ..models import (
    APIKey,
    KeyStrategy,
    Model,
    ModelType,
    Organization,
    Price,
    Project,
    Provider,
    RoutingRule,
    RoutingRuleModel,
)
from ..models.base import DbSession
from ..models.executions import Payer
from ..router.candidates import Candidate, Choice, Key, Rule
from ..router.pricing import Rates

AUTO = "auto"
MODEL = (
    Model.id.label("model_id"),
    Model.name.label("model"),
    Model.model_type,
    Model.capabilities,
    Model.context_window,
    Model.max_output_tokens,
)
PROVIDER = (
    Provider.id.label("provider_id"),
    Provider.name.label("provider"),
    Provider.organization_id.label("provider_owner"),
    Provider.kind,
    Provider.base_url,
    Provider.needs_key,
    Provider.is_simulated,
)
PRICE = (
    Price.id.label("price_id"),
    Price.input,
    Price.output,
    Price.cache_read,
    Price.cache_write,
    Price.per_request,
    Price.tiers,
)
KEY = (
    APIKey.id,
    APIKey.provider_id,
    APIKey.organization_id,
    APIKey.label,
    APIKey.last_four,
    APIKey.weight,
    APIKey.listed_models,
)
BUILT_IN = "built-in: the cheapest you can use"


def _ours(owner: Any) -> ColumnElement[bool]:
    return or_(owner == bindparam("here"), owner.is_(None))


_NEWEST = (
    select(Price.id)
    .where(Price.model_id == Model.id, Price.effective_at <= func.now())
    .order_by(Price.effective_at.desc(), Price.id.desc())
    .limit(1)
    .correlate(Model)
    .scalar_subquery()
)
# Both built once, and of columns rather than objects: every prompt comes through here.
_MODELS = (
    select(*MODEL, *PROVIDER, *PRICE)
    .join(Model.provider)
    .outerjoin(Price, Price.id == _NEWEST)
    .where(_ours(Provider.organization_id), _ours(Model.organization_id), Model.is_enabled)
    .order_by(Provider.name, Model.name)
)
_KEYS = (
    select(*KEY)
    .where(
        _ours(APIKey.organization_id),
        or_(APIKey.expires_at.is_(None), APIKey.expires_at > func.now()),
        APIKey.is_enabled,
        APIKey.provider_id.in_(bindparam("providers", expanding=True)),
    )
    .order_by(APIKey.is_default.desc(), APIKey.id)
)


def rules_for(session: DbSession, project: Project, requested: str, model_type: ModelType) -> list[Rule]:
    """The rules to try, in order. A model's name makes a rule of its own; a rule's name leaves only that rule."""
    hub = _Hub(session, project)
    if requested != AUTO:
        if chosen := hub.named(requested):
            return [Rule("the model you chose", tuple(Choice(candidate) for candidate in chosen), strategy="ordered")]
        return hub.rules(name=requested)
    return [*hub.rules(model_type=model_type), hub.built_in(model_type)]


def usable_models(session: DbSession, project: Project) -> list[Candidate]:
    """Every model this project could call now, for a picker or `GET /v1/models`."""
    return [candidate for candidate in _Hub(session, project).all() if candidate.keys]


def keys_for(strategy: KeyStrategy, needs_key: bool, own: Sequence[Key], platform: Sequence[Key]) -> tuple[Key, ...]:
    """Whose keys may be used, in order: the one place where an organization's key strategy is decided."""
    allowed = {
        KeyStrategy.BYOK: tuple(own),
        KeyStrategy.DATAELAN: tuple(platform),
        KeyStrategy.HYBRID: (*own, *platform),
    }[strategy]
    if not allowed and not needs_key:
        return (Key(None, "no key needed", Payer.NOBODY),)
    return allowed


class _Hub:
    """One project's view of the Model Hub."""

    def __init__(self, session: DbSession, project: Project):
        self.session, self.project = session, project
        self.organization: Organization = project.organization

    def named(self, requested: str) -> list[Candidate]:
        """`model`, or `provider/model` where several providers offer the same name (a name may hold slashes)."""
        provider, _, name = requested.partition("/")
        exact = self._candidates(or_(Model.name == requested, and_(Provider.slug == provider, Model.name == name)))
        return sorted(exact, key=lambda candidate: (not candidate.keys, candidate.is_simulated))

    def all(self) -> list[Candidate]:
        return self._candidates(true())

    def rules(self, *, name: str | None = None, model_type: ModelType | None = None) -> list[Rule]:
        """Project rules before the organization's before the platform's; lowest priority number first."""
        scope = case((RoutingRule.project_id.is_not(None), 0), (RoutingRule.organization_id.is_not(None), 1), else_=2)
        query = (
            select(RoutingRule)
            .where(
                RoutingRule.is_enabled,
                or_(RoutingRule.organization_id == self.organization.id, RoutingRule.organization_id.is_(None)),
                or_(RoutingRule.project_id == self.project.id, RoutingRule.project_id.is_(None)),
            )
            .options(selectinload(RoutingRule.models))
            .order_by(scope, RoutingRule.priority, RoutingRule.id)
        )
        if name is not None:
            query = query.where(RoutingRule.name == name)
        if model_type is not None:
            same = [ModelType.TEXT, ModelType.CODE] if model_type in (ModelType.TEXT, ModelType.CODE) else [model_type]
            query = query.where(RoutingRule.model_type.in_(same))
        rows = self.session.scalars(query).all()
        named = {entry.model_id for row in rows for entry in row.models}
        candidates = {c.model_id: c for c in self._candidates(Model.id.in_(named))} if named else {}
        return [_rule(row, candidates) for row in rows]

    def built_in(self, model_type: ModelType) -> Rule:
        """When no rule applies: own keys and servers by price; the simulated provider only where nothing else is."""
        usable = [candidate for candidate in self.all() if candidate.keys and candidate.model_type == model_type.value]
        real = [candidate for candidate in usable if not candidate.is_simulated]
        chosen = real or [candidate for candidate in usable if candidate.is_simulated][:1]
        return Rule(BUILT_IN, tuple(Choice(c) for c in chosen), model_type=model_type.value, strategy="cheapest")

    def _candidates(self, which: ColumnElement[bool]) -> list[Candidate]:
        rows = self.session.execute(_MODELS.where(which), {"here": self.organization.id}).all()
        keys = self._keys_of({row.provider_id for row in rows})
        return [self._candidate(row, keys.get(row.provider_id, [])) for row in rows]

    def _candidate(self, row: Any, keys: Sequence[Any]) -> Candidate:
        able = [key for key in keys if not key.listed_models or row.model in key.listed_models]
        own = [_key(key, Payer.ORGANIZATION) for key in able if key.organization_id]
        platform = [_key(key, Payer.PLATFORM) for key in able if not key.organization_id]
        return Candidate(
            model_id=row.model_id,
            model=row.model,
            provider_id=row.provider_id,
            provider=row.provider,
            kind=row.kind,
            base_url=row.base_url,
            keys=keys_for(self.organization.key_strategy, row.needs_key, own, platform),
            rates=rates_of(row) if row.price_id else None,
            price_id=row.price_id,
            model_type=row.model_type.value,
            capabilities=frozenset(row.capabilities) if row.capabilities else None,
            context_window=row.context_window,
            max_output_tokens=row.max_output_tokens,
            is_simulated=row.is_simulated,
            is_own=row.provider_owner is not None,
        )

    def _keys_of(self, providers: set[uuid.UUID]) -> dict[uuid.UUID, list[Any]]:
        """The keys this organization may use at these providers, by provider; the default first."""
        found: dict[uuid.UUID, list[Any]] = {}
        if providers:
            asked = {"here": self.organization.id, "providers": list(providers)}
            for row in self.session.execute(_KEYS, asked):
                found.setdefault(row.provider_id, []).append(row)
        return found


def rates_of(price: Any) -> Rates:
    """A Price, or a row with its columns, as the router's Rates."""
    return Rates(
        price.input,
        price.output,
        price.cache_read,
        price.cache_write,
        price.per_request,
        tuple((tier["above"], _tier(tier, price)) for tier in price.tiers),
    )


def _tier(tier: dict[str, int | None], price: Any) -> Rates:
    return Rates(
        tier.get("input") or price.input,
        tier.get("output") or price.output,
        tier.get("cache_read"),
        tier.get("cache_write"),
        price.per_request,
    )


def _rule(row: RoutingRule, candidates: dict[uuid.UUID, Candidate]) -> Rule:
    choices: Iterable[RoutingRuleModel] = row.models
    return Rule(
        row.name,
        tuple(
            Choice(candidates[entry.model_id], entry.weight, frozenset(entry.tags))
            for entry in choices
            if entry.model_id in candidates
        ),
        id=row.id,
        model_type=row.model_type.value,
        priority=row.priority,
        strategy=row.strategy.value,
        conditions=row.conditions,
    )


def _key(row: Any, payer: Payer) -> Key:
    return Key(row.id, f"{row.label} (••••{row.last_four})", payer, row.weight)
