"""Who pays for an organization's prompts, and what happens to calls whose price nobody knows."""

from __future__ import annotations

from typing import Any

from ... import audit
from ...extensions import db
from ...models import KeyStrategy, Organization, Project, UnknownPrice


def change(organization: Organization, strategy: KeyStrategy, unknown: UnknownPrice, ceiling: int | None) -> None:
    """`ceiling` in nano-USD. Commits."""
    before = _told(organization)
    organization.key_strategy, organization.unknown_price = strategy, unknown
    organization.unknown_price_ceiling = ceiling
    if before != (after := _told(organization)):
        audit.record("organization.hub_settings_changed", organization, organization.id, before=before, **after)
    db.session.commit()


def _told(organization: Organization) -> dict[str, Any]:
    return {
        "key_strategy": organization.key_strategy.value,
        "unknown_price": organization.unknown_price.value,
        "unknown_price_ceiling": organization.unknown_price_ceiling,
    }


def allow_platform_keys(project: Project, is_allowed: bool) -> None:
    """Commits."""
    if project.allows_platform_keys != is_allowed:
        project.allows_platform_keys = is_allowed
        audit.record("project.platform_keys_changed", project, is_allowed=is_allowed)
    db.session.commit()
