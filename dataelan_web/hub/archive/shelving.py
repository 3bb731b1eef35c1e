"""Deleting an organization's own providers and models, and bringing them back.

What is deleted is archived: it is seen and used nowhere any more, its price versions stay under what they were charged
for, and past runs go on saying its name. Every verb commits and is noted in the audit.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import joinedload

from ... import access, audit, quota
from ...extensions import db
from ...models import APIKey, Model, Provider, RoutingRule, RoutingRuleModel, now
from ..keys.keeping import destroy

TRIES = 4
DEADLOCK = "40P01"


class InUse(Exception):
    """It cannot be deleted yet; the message says why."""


def remove_model(model: Model) -> None:
    """Raises InUse, with the rules that need it."""
    if rules := _rules_with(model):
        named = ", ".join(f"“{name}”" for name in rules)
        raise InUse(f"{len(rules)} {'rule uses' if len(rules) == 1 else 'rules use'} it: {named}. Take it out first.")
    _hold(model)
    quota.forget(db.session, model.id)
    _shelve(model, "model", provider=model.provider.slug)


def remove_provider(provider: Provider) -> None:
    """With its models, their places in rules, and its keys, whose secrets are destroyed. Calls that begin and end
    meanwhile lock some of these rows in orders of their own: where two wait for each other, PostgreSQL ends one."""
    for tries_left in reversed(range(TRIES)):
        try:
            return _remove_provider(provider)
        except OperationalError as error:
            db.session.rollback()
            if not tries_left or getattr(error.orig, "pgcode", None) != DEADLOCK:
                raise


def _remove_provider(provider: Provider) -> None:
    gone = dependents(provider)
    _hold(provider)
    keys = db.session.scalars(select(APIKey).where(APIKey.provider_id == provider.id)).all()
    models = select(Model.id).where(Model.provider_id == provider.id)
    quota.forget(db.session, provider.id, *(key.id for key in keys), *db.session.scalars(models))
    for key in keys:
        destroy(key)
    db.session.execute(delete(RoutingRuleModel).where(RoutingRuleModel.model_id.in_(models)))
    _shelve(provider, "provider", models=gone.models, rules=gone.rules, keys=gone.keys)


def restore(row: Model | Provider) -> None:
    """As it was, but for its keys and its places in rules. Does nothing with one that is back already."""
    if row.archived_at is not None:
        row.archived_at = None
        audit.record(f"{type(row).__name__.lower()}.restored", row, row.organization_id)
    db.session.commit()


@dataclass(frozen=True)
class Dependents:
    """What goes with a provider."""

    models: int
    rules: int
    keys: int


def dependents(provider: Provider) -> Dependents:
    models = (Model.provider_id == provider.id, Model.archived_at.is_(None))
    in_rules = (
        select(func.count(RoutingRuleModel.rule_id.distinct()))
        .join(RoutingRuleModel.model)
        .join(RoutingRule, RoutingRule.id == RoutingRuleModel.rule_id)
        .where(RoutingRule.deleted_at.is_(None))
    )
    return Dependents(
        *(
            db.session.scalar(query) or 0
            for query in (
                select(func.count()).where(*models),
                in_rules.where(*models),
                select(func.count()).where(APIKey.provider_id == provider.id, APIKey.archived_at.is_(None)),
            )
        )
    )


def archived_providers() -> list[Provider]:
    return list(db.session.scalars(access.archived(Provider).order_by(Provider.archived_at.desc())))


def archived_models() -> list[Model]:
    """Those that were deleted by themselves; the models of an archived provider come back with it."""
    query = access.archived(Model).options(joinedload(Model.provider))
    return list(db.session.scalars(query.order_by(Model.archived_at.desc())))


def _shelve(row: Model | Provider, word: str, **detail: object) -> None:
    row.archived_at = now()
    audit.record(f"{word}.archived", row, row.organization_id, **detail)
    db.session.commit()


def _hold(row: Model | Provider) -> None:
    """No call with it begins until the transaction ends; one that began is seen."""
    db.session.refresh(row, with_for_update=True)


def _rules_with(model: Model) -> list[str]:
    query = (
        select(RoutingRule.name)
        .join(RoutingRuleModel, RoutingRuleModel.rule_id == RoutingRule.id)
        .where(RoutingRuleModel.model_id == model.id, RoutingRule.deleted_at.is_(None))
        .order_by(RoutingRule.name)
    )
    return list(db.session.scalars(query))
