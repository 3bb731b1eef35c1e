"""A hub's set-up as a document, to keep beside one's code or to take elsewhere. The way back is in importing.py."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import contains_eager, joinedload, selectinload

from ...executions.candidates import IN_FORCE
from ...extensions import db
from ...models import (
    NANO,
    APIKey,
    Correction,
    Model,
    Organization,
    Price,
    Project,
    Provider,
    RoutingRule,
    RoutingRuleModel,
    now,
)
from ..models import corrections, prices
from ..providers.overview import last_day
from .document import (
    CorrectionEntry,
    Document,
    KeyEntry,
    ModelEntry,
    PriceEntry,
    ProviderEntry,
    RuleEntry,
    RuleModel,
    Settings,
)


def export(organization: Organization) -> Document:
    """What is the organization's own. Keys by label only."""
    own = and_(Provider.organization_id == organization.id, Provider.archived_at.is_(None))
    mine = (
        select(Model)
        .join(Model.provider)
        .where(Model.organization_id == organization.id, *(row.archived_at.is_(None) for row in (Model, Provider)))
        .options(contains_eager(Model.provider))
    )
    return Document(
        settings=Settings(
            key_strategy=organization.key_strategy,
            unknown_price=organization.unknown_price,
            unknown_price_ceiling_usd=_usd(organization.unknown_price_ceiling),
        ),
        providers=[_provider(row) for row in db.session.scalars(select(Provider).where(own).order_by(Provider.slug))],
        models=[_model(row) for row in db.session.scalars(mine.order_by(Model.name))],
        corrections=[_correction(*row) for row in _corrections(organization)],
        prices=[_price(row) for row in _own_prices(organization)],
        rules=[rule_entry(row, project) for row, project in _rules(organization)],
        keys=[_key(row, ZoneInfo(organization.time_zone)) for row in _keys(organization)],
    )


def _provider(row: Provider) -> ProviderEntry:
    return ProviderEntry(
        slug=row.slug,
        name=row.name,
        kind=row.kind,
        address=row.base_url,
        needs_key=row.needs_key,
        catalogue=row.catalogue,
    )


def _model(row: Model) -> ModelEntry:
    return ModelEntry.model_validate(
        {
            "provider": row.provider.slug,
            "name": row.name,
            "display_name": row.display_name,
            "type": row.model_type,
            "task": row.task,
            "capabilities": row.capabilities,
            "refuses": row.refuses,
            "context_window": row.context_window,
            "max_output_tokens": row.max_output_tokens,
        }
    )


def _corrections(organization: Organization) -> Iterable[Any]:
    its = (Correction.organization_id == organization.id, Model.archived_at.is_(None), Provider.archived_at.is_(None))
    query = select(Correction, Model).join(Model, Model.id == Correction.model_id).join(Model.provider).where(*its)
    return db.session.execute(query.options(contains_eager(Model.provider)).order_by(Provider.slug, Model.name)).all()


def _correction(row: Correction, model: Model) -> CorrectionEntry:
    return CorrectionEntry.model_validate({"model": _ref(model)} | corrections.said(row))


def _own_prices(organization: Organization) -> Iterable[Price]:
    """In force, or still to come."""
    query = (
        select(Price)
        .join(Model, Model.id == Price.model_id)
        .join(Model.provider)
        .where(Price.organization_id == organization.id, or_(IN_FORCE, prices.is_to_come(now())))
        .where(Model.archived_at.is_(None), Provider.archived_at.is_(None))
    )
    return db.session.scalars(query.order_by(Price.effective_at, Price.id))


def _price(row: Price) -> PriceEntry:
    model = db.session.get_one(Model, row.model_id, options=[joinedload(Model.provider)])
    said = {name: usd for name in prices.BY_NAME if (usd := _usd(getattr(row, name))) is not None}
    variants = [
        {"when": one["when"], **{name: _usd(one[name]) for name in ("per_image", "per_second") if name in one}}
        for one in row.variants
    ]
    starts_at = row.effective_at if row.effective_at > now() else None
    return PriceEntry.model_validate({"model": _ref(model), "starts_at": starts_at, "variants": variants} | said)


def _rules(organization: Organization) -> Iterable[tuple[RoutingRule, str | None]]:
    models = selectinload(RoutingRule.models).joinedload(RoutingRuleModel.model).joinedload(Model.provider)
    query = (
        select(RoutingRule, Project.name)
        .outerjoin(Project, Project.id == RoutingRule.project_id)
        .where(RoutingRule.organization_id == organization.id, RoutingRule.deleted_at.is_(None))
        .options(models)
        .order_by(Project.name.is_(None), Project.name, RoutingRule.priority, RoutingRule.id)
    )
    return [(row, project) for row, project in db.session.execute(query)]


def rule_entry(row: RoutingRule, project: str | None = None) -> RuleEntry:
    return RuleEntry(
        name=row.name,
        project=project,
        type=row.model_type,
        priority=row.priority,
        strategy=row.strategy,
        enabled=row.is_enabled,
        goes_on_unheard=row.goes_on_unheard,
        conditions=row.conditions,
        models=[RuleModel(model=_ref(one.model), weight=one.weight, tags=one.tags) for one in row.models],
    )


def _keys(organization: Organization) -> Iterable[APIKey]:
    mine = (APIKey.organization_id == organization.id, APIKey.archived_at.is_(None))
    query = select(APIKey).where(*mine).options(joinedload(APIKey.provider))
    return db.session.scalars(query.order_by(APIKey.id))


def _key(row: APIKey, zone: ZoneInfo) -> KeyEntry:
    until = last_day(row, zone)
    return KeyEntry(
        provider=row.provider.slug,
        label=row.label,
        weight=row.weight,
        daily_quota_usd=_usd(row.daily_quota),
        allowed_models=row.allowed_models,
        expires_on=until.isoformat() if until else None,
    )


def _ref(model: Model) -> str:
    return f"{model.provider.slug}/{model.name}"


def _usd(nano: int | None) -> Decimal | None:
    return None if nano is None else Decimal(nano) / NANO
