"""`flask seed-demo`: an organization as it would look after months of work. Its people, projects, models and prices
are made here, its rules and limits in demo_rules, its runs by one statement a step (demo_runs.sql). The same seed makes
the same numbers; only ids differ.

Its keys are switched off and open nothing: no prompt of the demo is ever sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import select

from . import demo_rules
from .accounts.sign_up import create_organization, create_project, create_user, find
from .demo_runs import Offer, Plan, sum_up, write
from .extensions import db
from .hub.keys.keeping import seal
from .models import (
    NANO,
    Membership,
    Model,
    ModelType,
    Organization,
    OrganizationKind,
    Price,
    Provider,
    Role,
    User,
    new_id,
    now,
)

PROJECTS = ("Support answers", "Contract review", "Product search", "Release notes", "Data room", "Onboarding")
PEOPLE = ("Ana Ruiz", "Ben Okafor", "Chloe Martin", "Dev Patel", "Elif Kaya", "Femi Ade", "Greta Lind", "Hiro Sato")
KINDS: dict[str, Any] = {
    # provider: [(model, type, USD per 1M input, output, seconds to the first token, tokens a second, share)]
    "openai": [
        ("gpt-demo", ModelType.TEXT, 1.25, 10.0, 0.62, 92, 30),
        ("gpt-demo-mini", ModelType.TEXT, 0.25, 2.0, 0.38, 140, 22),
    ],
    "anthropic": [
        ("claude-demo", ModelType.CODE, 3.0, 15.0, 0.85, 71, 24),
        ("claude-demo-swift", ModelType.TEXT, 0.8, 4.0, 0.45, 118, 9),
    ],
    "google": [
        ("gemini-demo", ModelType.TEXT, 1.1, 8.0, 0.71, 103, 11),
        ("gemini-demo-flash", ModelType.TEXT, 0.1, 0.4, 0.29, 190, 4),
    ],
}
CHEAPER_FROM, CHEAPER_SINCE = 0.55, timedelta(days=12)
"""The part of the time after which prices are what they are now, of a long one the last days; before that they were a
quarter higher."""
CACHED = 0.1
"""What reading input from a cache costs, as a part of what input costs."""


LARGEST = 0.4
"""The part of all runs that the first of several organizations has."""


def seed(
    executions: int,
    days: int,
    seed: int,
    email: str,
    password: str,
    name: str,
    organizations: int = 1,
    at: datetime | None = None,
) -> list[tuple[Organization, int]]:
    """Makes new organizations each time, whose runs end `at`, or now; returns each with its runs. The same for the same
    seed and end. Commits. Raises LookupError where the providers were never loaded."""
    at = at or now()
    rest = organizations - 1
    shares = [round(executions * LARGEST)] + [round(executions * (1 - LARGEST) / rest)] * rest if rest else [executions]
    made = [
        _seed(share, days, at, seed + n, email, password, f"{name} {n + 1}" if n else name)
        for n, share in enumerate(shares)
    ]
    sum_up([home.id for home, _, _ in made])
    for _, _, decide in made:  # what was spent is looked up, so PostgreSQL has to know its tables first
        decide()
        db.session.commit()
    return [(home, written) for home, written, _ in made]


def _seed(
    executions: int, days: int, at: datetime, seed: int, email: str, password: str, name: str
) -> tuple[Organization, int, Callable[[], None]]:
    """(the organization, its runs, what is to be done once these are summed up)"""
    dice, begins = random.Random(seed), at - timedelta(days=days + 1)
    owner = find(email) or create_user(email, password, "Demo")
    home = create_organization(owner, name, OrganizationKind.TEAM)
    home.created_at = begins
    db.session.flush()
    people = [_member(home, one, dice) for one in PEOPLE]
    projects = [create_project(home, owner, one) for one in PROJECTS]
    db.session.flush()
    changes = (begins, at - min(timedelta(days=days * (1 - CHEAPER_FROM)), CHEAPER_SINCE))
    offers = [offer for slug, models in KINDS.items() for offer in _offers(home, owner, slug, models, changes)]
    models = [offer.model for offer in offers]
    rules = demo_rules.rules(home, owner, models)
    demo_rules.notes(home, owner, models, at, days)
    db.session.commit()
    staff = [owner, *people]
    plan = Plan(home.id, [one.id for one in projects], [one.id for one in staff], offers, rules, days, seed)
    decide = partial(demo_rules.limits, home, owner, projects, people, offers[0].key.id)
    return home, write(plan, executions, at), decide


def _member(home: Organization, name: str, dice: random.Random) -> User:
    address = f"{name.split()[0].lower()}-{home.slug}@example.com"
    user = find(address) or User(id=new_id(), email=address, name=name, password_hash="-")  # noqa: S106 (opens nothing)
    db.session.add(user)
    db.session.add(Membership(organization=home, user=user, role=dice.choice([Role.MEMBER, Role.MEMBER, Role.VIEWER])))
    return user


def _offers(
    home: Organization, owner: User, slug: str, models: list[Any], changes: tuple[datetime, datetime]
) -> list[Offer]:
    """`changes`: when its prices began, and when they fell."""
    provider = db.session.scalars(
        select(Provider).where(Provider.slug == slug, Provider.organization_id.is_(None))
    ).first()
    if provider is None:
        raise LookupError(f"There is no provider {slug}: run `flask load-providers` first.")
    key = seal(provider, home, owner.id, f"{provider.name} demo", f"demo-{home.slug}-0000")
    key.is_enabled = False
    offers = []
    for model_name, kind, input, output, first, speed, share in models:
        named = f"{model_name}-{home.slug}"
        model = Model(id=new_id(), provider=provider, organization_id=home.id, name=named, display_name=model_name)
        model.model_type, model.is_enabled = kind, False
        prices = [
            Price(
                id=new_id(),
                source="demo",
                effective_at=at,
                input=round(input * NANO * by),
                cache_read=round(input * NANO * by * CACHED),
                output=round(output * NANO * by),
            )
            for at, by in zip(changes, (1.25, 1), strict=True)
        ]
        model.prices = prices
        db.session.add(model)
        db.session.flush()
        offers.append(Offer(provider, model, key, prices, first, speed, share))
    return offers
