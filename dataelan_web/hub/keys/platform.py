"""The platform's keys, used by every organization that allows it: entered on the command line, or on the pages of keys
under `/admin`, as an organization's are."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from ...extensions import db
from ...models import APIKey, Provider
from ..providers.checking import Checked
from .keeping import KeySettings, add_key


class NotAKey(Exception):
    """What was given is no key, or there is no such provider; the message says which."""


def add(slug: str, secret: str, label: str, weight: int, daily_quota: int | None) -> tuple[APIKey, Checked]:
    """`daily_quota` in nano-USD. Raises NotAKey or router Failure. Commits."""
    provider = db.session.scalars(
        select(Provider).where(Provider.slug == slug, Provider.organization_id.is_(None), ~Provider.needs_address)
    ).first()
    if provider is None:
        raise NotAKey(f"There is no provider {slug!r}. Known: {', '.join(_slugs())}.")
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise NotAKey("A key has plain letters, digits and signs only: none was given, or something else with it.")
    settings = KeySettings(label or f"{provider.name} (platform)", weight, daily_quota)
    return add_key(provider, None, None, secret, settings)


def all_keys() -> Sequence[APIKey]:
    return db.session.scalars(
        select(APIKey)
        .join(APIKey.provider)
        .options(joinedload(APIKey.provider))
        .where(APIKey.organization_id.is_(None), APIKey.archived_at.is_(None))
        .order_by(Provider.slug, APIKey.id)
    ).all()


def _slugs() -> Sequence[str]:
    shared = (Provider.organization_id.is_(None), ~Provider.needs_address, Provider.needs_key)
    return db.session.scalars(select(Provider.slug).where(*shared).order_by(Provider.slug)).all()
