"""Set-up by program: everything from a person to a gateway token, made or found again."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select

from . import quota
from .accounts.sign_up import create_organization, create_project, create_user, find
from .extensions import db
from .hub.keys.keeping import reseal, seal
from .hub.keys.rotation import place_of
from .hub.models import assumed, catalogue, prices, purpose
from .hub.providers import connections, servers
from .models import (
    NANO,
    APIKey,
    GatewayToken,
    Membership,
    Model,
    ModelType,
    Organization,
    OrganizationKind,
    Project,
    Provider,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    User,
    Window,
    new_id,
)
from .router.types import Task
from .secrets import Unreadable, keyring

RULE = "default"
CATALOGUES = {"openai": "openai", "anthropic": "anthropic", "google": "google"}


@dataclass(frozen=True)
class Offer:
    """One provider with a key and a model."""

    kind: str
    url: str
    secret: str
    model: str


def set_up(
    email: str, password: str, organization: str, project: str, budget: Decimal | None, offers: list[Offer]
) -> dict[str, Any]:
    """Commits. The token is new at every call: the secret of an earlier one cannot be read any more."""
    user = find(email) or create_user(email, password, email.partition("@")[0])
    db.session.flush()
    home = _organization(user, organization)
    work = _project(home, user, project)
    db.session.flush()
    if budget is not None:
        quota.set_limit(db.session, home.id, Scope.ORGANIZATION, home.id, Window.TOTAL, int(budget * NANO))
    models = [_model(home, offer) for offer in offers]
    rule = _rule(home, models) if models else None
    token, secret = GatewayToken.issue(work, user.id, "bootstrap")
    db.session.add(token)
    db.session.commit()
    return {
        "user": user.email,
        "organization": home.slug,
        "project": str(work.id),
        "rule": rule.name if rule else None,
        "token": secret,
        "models": [model.name for model in models],
    }


def _organization(user: User, name: str) -> Organization:
    found = db.session.scalars(
        select(Organization)
        .join(Membership)
        .where(Membership.user_id == user.id, Organization.name == name, Organization.deleted_at.is_(None))
    ).first()
    return found or create_organization(user, name, OrganizationKind.TEAM)


def _project(organization: Organization, user: User, name: str) -> Project:
    found = db.session.scalars(
        select(Project).where(
            Project.organization_id == organization.id, Project.name == name, Project.deleted_at.is_(None)
        )
    ).first()
    return found or create_project(organization, user, name)


def _model(organization: Organization, offer: Offer) -> Model:
    """The operator names the address, so it may be a private one; the key is sealed for it, not checked."""
    url = offer.url.rstrip("/")
    servers.host_of(url)
    name = f"{offer.kind} at {urlsplit(url).netloc}"
    provider = connections.make_provider(
        organization,
        name,
        offer.kind,
        url,
        needs_key=bool(offer.secret),
        catalogue=CATALOGUES.get(offer.kind, ""),
        is_trusted=True,
    )
    db.session.flush()
    if offer.secret:
        _key(organization, provider, offer.secret)
    model = db.session.scalars(select(Model).where(Model.provider_id == provider.id, Model.name == offer.model)).first()
    if model is None:
        model = Model(id=new_id(), provider=provider, organization_id=organization.id, name=offer.model)
        model.display_name = offer.model
        model.model_type, model.task = purpose.task_of(offer.model) or (ModelType.TEXT, Task.CHAT)
        db.session.add(model)
    model.archived_at = None
    _price(model, provider)
    db.session.flush()
    return model


def _price(model: Model, provider: Provider) -> None:
    """The catalogue's, where it knows the name; else free at a private address, with a key too, since the operator
    names both; else unknown."""
    if model.prices:
        return
    known = catalogue.look_up(provider.catalogue, model.name)
    if known:
        model.context_window = known.context_window
    if known and known.price:
        model.prices = [known.price]
    elif servers.is_private(provider.base_url):
        model.prices = [catalogue.free(prices.OPERATOR if provider.needs_key else assumed.AT_HOME)]


def _key(organization: Organization, provider: Provider, secret: str) -> APIKey:
    found = db.session.scalars(
        select(APIKey).where(
            APIKey.provider_id == provider.id,
            APIKey.organization_id == organization.id,
            APIKey.archived_at.is_(None),
        )
    ).first()
    if found is None:
        return seal(provider, organization, None, "bootstrap", secret)
    if _secret_of(found) != secret:
        reseal(found, secret)
    return found


def _secret_of(key: APIKey) -> str | None:
    try:
        return keyring().decrypt(key.ciphertext, place_of(key))
    except Unreadable:
        return None


def _rule(organization: Organization, models: list[Model]) -> RoutingRule:
    rule = db.session.scalars(
        select(RoutingRule).filter_by(organization_id=organization.id, name=RULE, deleted_at=None)
    ).first()
    if rule is None:
        rule = RoutingRule(id=new_id(), organization_id=organization.id, name=RULE)
        db.session.add(rule)
    named = {entry.model_id for entry in rule.models}
    for position, model in enumerate(model for model in models if model.id not in named):
        rule.models.append(RoutingRuleModel(model=model, position=len(named) + position))
    return rule
