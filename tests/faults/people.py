"""Who uses the Dataelan under test: two organizations, one that may spend much and one that is always near its limits.

Both ask the suite's provider with a key of their own, at a price, so that every call holds and costs something.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

import httpx2
from flask import Flask

from dataelan_web.accounts.sign_up import create_organization, create_project, create_user
from dataelan_web.extensions import db
from dataelan_web.hub.keys.keeping import seal
from dataelan_web.models import (
    NANO,
    Budget,
    GatewayToken,
    Model,
    OrganizationKind,
    Price,
    Provider,
    RateLimit,
    RoutingRule,
    RoutingRuleModel,
    Scope,
    Strategy,
    Unit,
    Window,
    new_id,
)
from dataelan_web.router.candidates import FALLBACK

from .stack import Stack

PASSWORD = "correct horse battery staple"
CANARY = "sk-CANARY-7f3a9c51"
THINKS = "simulated-thoughtful"
"""It thinks before it writes, and the suite's provider tells nobody what."""
MODELS = ("simulated-fast", "simulated-instant", THINKS)
REFUSALS = ("rate_limit", "rate_limit_bare", "server_error", "unavailable", "overloaded", "bad_request", "not_found",
            "context_too_long", "content_policy")  # fmt: skip
KEYS_OWN = ("unauthorized", "billing", "quota", "forbidden")
BREAKS = ("cut", "no_done", "slow_loris", "stall", "silent")
SPOILS = ("garbage", "invalid_utf8", "huge_line", "html", "empty_body", "empty", "error_in_stream", "no_usage",
          "negative_usage", "text_usage", "content_filter")  # fmt: skip
KINDS = (*REFUSALS, *KEYS_OWN, *BREAKS, *SPOILS)
"""How the provider fails. Each is a model of its own, so that what it teaches about its health stays with it."""
ELSE = ", else another"
"""Ends the name of a rule: that model, with another as its fallback."""
MUCH = {
    (Scope.ORGANIZATION, Unit.USD): 9_000,
    (Scope.PROJECT, Unit.USD): 9_000,
    (Scope.KEY, Unit.USD): 9_000,
    (Scope.MODEL, Unit.USD): 9_000,
    (Scope.PROJECT, Unit.TOKENS): 50_000_000,
    (Scope.ORGANIZATION, Unit.REQUESTS): 1_000_000,
}
LITTLE = {
    (Scope.ORGANIZATION, Unit.USD): 2,
    (Scope.PROJECT, Unit.USD): 2,
    (Scope.MEMBER, Unit.USD): 2,
    (Scope.TOKEN, Unit.USD): 2,
    (Scope.PROJECT, Unit.TOKENS): 9_000,
    (Scope.MEMBER, Unit.REQUESTS): 60,
}
"""Limits; of money in USD."""
UNREACHABLE = {
    "refuses": "http://127.0.0.1:9/v1",
    "no-such-name": "http://provider.invalid/v1",
    "no-tls": "https://127.0.0.1:{port}/v1",
}


@dataclass
class Home:
    """What one organization's people and programs know."""

    name: str
    slug: str
    organization_id: uuid.UUID
    project_id: uuid.UUID
    models: dict[str, str]
    """A model's name → what it is asked for by."""
    token: str
    cookie: str = ""
    csrf: str = ""

    @property
    def url(self) -> str:
        return f"/o/{self.slug}"

    @property
    def page(self) -> str:
        return f"{self.url}/"

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": self.cookie, "HX-Request": "true"}

    def model(self, name: str) -> str:
        return self.models[name]


def settle_in(stack: Stack, app: Flask) -> tuple[Home, Home]:
    """Make both, with their limits, and sign their people in."""
    with app.app_context():
        roomy, tight = _home(stack, "Roomy", MUCH), _home(stack, "Tight", LITTLE)
        organization = {"organization_id": tight.organization_id, "subject_id": tight.organization_id}
        pace = {"requests_per_minute": 300, "tokens_per_minute": 200_000, "parallel": 20}
        db.session.add(RateLimit(id=new_id(), scope=Scope.ORGANIZATION, **organization, **pace))
        db.session.commit()
    for home in (roomy, tight):
        sign_in(home, stack.webs[0].port)
    return roomy, tight


def _home(stack: Stack, name: str, limits: dict[tuple[Scope, Unit], int]) -> Home:
    email = f"{name.lower()}@example.com"
    owner = create_user(email, PASSWORD, name)
    db.session.flush()
    organization = create_organization(owner, name, OrganizationKind.TEAM)
    project = create_project(organization, owner, f"{name} project")
    db.session.flush()
    provider, key = _provider(stack, organization, owner.id, "main", stack.provider_url)
    models = {name: _model(provider, organization.id, name) for name in MODELS}
    for label, names in _elsewhere(stack).items():
        url = UNREACHABLE.get(label, stack.provider_url).format(port=stack.runners["provider"].port)
        other, _ = _provider(stack, organization, owner.id, label, url)
        models |= {name: _model(other, organization.id, name) for name in names}
    with_others = {f"{name}{ELSE}": _rule(model, models["simulated-instant"]) for name, model in models.items()}
    token, secret = GatewayToken.issue(project, owner.id, "faults")
    db.session.add(token)
    db.session.flush()
    subjects = {
        Scope.ORGANIZATION: organization.id,
        Scope.PROJECT: project.id,
        Scope.MEMBER: owner.id,
        Scope.TOKEN: token.id,
        Scope.KEY: key.id,
        Scope.MODEL: models["simulated-fast"].id,
    }
    windows = {Scope.PROJECT: Window.DAY, Scope.KEY: Window.MONTH, Scope.MODEL: Window.WEEK}
    for (scope, unit), amount in limits.items():
        values = {"scope": scope, "subject_id": subjects[scope], "window": windows.get(scope, Window.TOTAL)}
        limit = amount * NANO if unit is Unit.USD else amount
        db.session.add(Budget(id=new_id(), organization_id=organization.id, unit=unit, limit=limit, **values))
    db.session.commit()
    called = {name: f"{model.provider.slug}/{name}" for name, model in models.items()}
    called |= {name: rule.name for name, rule in with_others.items()}
    return Home(name, organization.slug, organization.id, project.id, called, secret)


def _elsewhere(stack: Stack) -> dict[str, tuple[str, ...]]:
    """Providers that fail, and their models: a key that is refused must not rest those of the others."""
    spoilt = tuple(f"simulated-fail-{kind}" for kind in KINDS if kind not in KEYS_OWN)
    return (
        {"spoilt": spoilt} | {kind: (f"simulated-fail-{kind}",) for kind in KEYS_OWN} | {k: (k,) for k in UNREACHABLE}
    )


def _provider(stack: Stack, organization, user_id, label: str, url: str):  # type: ignore[no-untyped-def]
    provider = Provider(
        id=new_id(),
        organization_id=organization.id,
        slug=f"{organization.slug}-{label}",
        name=label,
        kind="openai",
        base_url=url,
    )
    db.session.add(provider)
    db.session.flush()
    key = seal(provider, organization, user_id, "faults", f"{CANARY}-{provider.slug}")
    db.session.flush()
    return provider, key


def _model(provider: Provider, organization_id: uuid.UUID, name: str) -> Model:
    model = Model(id=new_id(), provider_id=provider.id, organization_id=organization_id, name=name, display_name=name)
    model.capabilities = ["reasoning"] if name == THINKS else []
    model.prices = [Price(source="test", input=100 * NANO, output=500 * NANO)]  # a call holds a good cent
    db.session.add(model)
    db.session.flush()
    return model


def _rule(model: Model, other: Model) -> RoutingRule:
    """Ask for the model, and for another where it fails."""
    rule = RoutingRule(id=new_id(), organization_id=model.organization_id, name=f"{model.name}{ELSE}", priority=1000)
    rule.strategy, rule.models = Strategy.ORDERED, [RoutingRuleModel(model=model, position=0)]
    if other is not model:
        rule.models.append(RoutingRuleModel(model=other, position=1, tags=[FALLBACK]))
    db.session.add(rule)
    db.session.flush()
    return rule


def sign_in(home: Home, port: int) -> None:
    """By the form, as a browser does."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as browser:
        form = {"email": f"{home.name.lower()}@example.com", "password": PASSWORD}
        answer = browser.post("/login", data={"csrf_token": _csrf(browser.get("/login").text), **form})
        assert answer.status_code in (302, 303), answer.text[:500]
        home.csrf = _csrf(browser.get(home.page).text)
        home.cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies.jar)


def _csrf(page: str) -> str:
    found = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert found, page[:500]
    return found[1]
