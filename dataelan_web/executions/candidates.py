"""What the router may choose from, read from the database: rules, models, prices and keys of one project."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, case, func, or_, select, true
from sqlalchemy.orm import contains_eager, selectinload

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
    now,
)
from ..models.base import DbSession
from ..models.executions import Payer
from ..router.candidates import Candidate, Choice, Key, Rule
from ..router.pricing import Rates

AUTO = "auto"
BUILT_IN = "built-in: the cheapest model you have a key for"


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
        self._keys: dict[uuid.UUID, list[APIKey]] | None = None

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
        ours = or_(Provider.organization_id == self.organization.id, Provider.organization_id.is_(None))
        visible = or_(Model.organization_id == self.organization.id, Model.organization_id.is_(None))
        newest = (
            select(Price.id)
            .where(Price.model_id == Model.id, Price.effective_at <= func.now())
            .order_by(Price.effective_at.desc(), Price.id.desc())
            .limit(1)
            .correlate(Model)
            .scalar_subquery()
        )
        rows = self.session.execute(
            select(Model, Price)
            .join(Model.provider)
            .outerjoin(Price, Price.id == newest)
            .where(ours, visible, Model.is_enabled, which)
            .options(contains_eager(Model.provider))
            .order_by(Provider.name, Model.name)
        ).all()
        return [self._candidate(model, price) for model, price in rows]

    def _candidate(self, model: Model, price: Price | None) -> Candidate:
        provider = model.provider
        return Candidate(
            model_id=model.id,
            model=model.name,
            provider_id=provider.id,
            provider=provider.name,
            kind=provider.kind,
            base_url=provider.base_url,
            keys=self._keys_of(provider, model.name),
            rates=rates_of(price),
            price_id=price.id if price else None,
            model_type=model.model_type.value,
            capabilities=frozenset(model.capabilities) if model.capabilities else None,
            context_window=model.context_window,
            max_output_tokens=model.max_output_tokens,
            is_simulated=provider.is_simulated,
            is_own=provider.organization_id is not None,
        )

    def _keys_of(self, provider: Provider, model_name: str) -> tuple[Key, ...]:
        rows = self._usable_keys().get(provider.id, [])
        able = [key for key in rows if not key.listed_models or model_name in key.listed_models]
        own = [_key(key, Payer.ORGANIZATION) for key in able if key.organization_id]
        platform = [_key(key, Payer.PLATFORM) for key in able if not key.organization_id]
        return keys_for(self.organization.key_strategy, provider.needs_key, own, platform)

    def _usable_keys(self) -> dict[uuid.UUID, list[APIKey]]:
        if self._keys is None:
            rows = self.session.scalars(
                select(APIKey)
                .where(or_(APIKey.organization_id == self.organization.id, APIKey.organization_id.is_(None)))
                .order_by(APIKey.is_default.desc(), APIKey.id)
            ).all()
            self._keys = {}
            for key in rows:
                if key.is_usable(now()):
                    self._keys.setdefault(key.provider_id, []).append(key)
        return self._keys


def rates_of(price: Price | None) -> Rates | None:
    if price is None:
        return None
    return Rates(
        price.input,
        price.output,
        price.cache_read,
        price.cache_write,
        price.per_request,
        tuple((tier["above"], _tier(tier, price)) for tier in price.tiers),
    )


def _tier(tier: dict[str, int | None], price: Price) -> Rates:
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


def _key(row: APIKey, payer: Payer) -> Key:
    return Key(row.id, f"{row.label} (••••{row.last_four})", payer, row.weight)
