"""Whose keys may be used for which model: the one place where that is decided, and why each of the others may not."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select

from ..models import APIKey, KeyStrategy
from ..models.base import DbSession
from ..models.executions import Payer
from ..models.hub import ENTER_AGAIN
from ..router.candidates import NOT_LISTED, Key, UnusedKey

OURS: ColumnElement[bool] = or_(APIKey.organization_id == bindparam("here"), APIKey.organization_id.is_(None))
PLATFORM = "the platform’s key"
"""What an organization's people read of any of them: which they are, and what ails them, is their operator's."""
OFF_DUTY = "it cannot be used now"
NO_KEY = Key(None, "no key needed", Payer.NOBODY)

_KEYS = (
    select(
        APIKey.id,
        APIKey.provider_id,
        APIKey.organization_id,
        APIKey.label,
        APIKey.weight,
        and_(APIKey.is_default, APIKey.goes_first).label("goes_first"),
        APIKey.listed_models,
        APIKey.allowed_models,
        APIKey.is_enabled,
        APIKey.expires_at,
        func.coalesce(APIKey.expires_at <= func.now(), False).label("is_expired"),
        (APIKey.last_error == ENTER_AGAIN).label("is_elsewhere"),
    )
    .where(OURS, APIKey.archived_at.is_(None), APIKey.provider_id.in_(bindparam("providers", expanding=True)))
    .order_by(APIKey.is_default.desc(), APIKey.id)
)


@dataclass(frozen=True)
class Policy:
    """By the organization's key strategy, and the project's own wish."""

    strategy: KeyStrategy = KeyStrategy.DATAELAN
    allows_platform_keys: bool = True

    def against(self, payer: Payer) -> str:
        """Why a key of this payer may not be used; empty: it may."""
        if payer is Payer.ORGANIZATION:
            return "the organization uses the platform’s keys only" if self.strategy is KeyStrategy.DATAELAN else ""
        if self.strategy is KeyStrategy.BYOK:
            return "the organization uses keys of its own only"
        return "" if self.allows_platform_keys else "the project does not use the platform’s keys"


@dataclass(frozen=True)
class Held:
    """A key that an organization, or everyone, has."""

    key: Key
    why_not: str
    """Why it may be used for no model; empty: it may, for those below."""
    listed: Collection[str]
    """Names that its provider listed to it; none: any may be tried. It says nothing of a model that no key was ever
    listed: one that a person typed in, since the list leaves its like out (ElevenLabs' what writes down, Azure's
    deployments)."""
    allowed: Collection[str]
    """Names that its owner allows it; none: all."""

    def against(self, model: str, *, was_listed: bool = True) -> str:
        """`was_listed`: to any key, whosever. Not: a person typed it in."""
        if self.why_not:
            return self.why_not
        if self.listed and was_listed and model not in self.listed:
            return NOT_LISTED
        return "it is not for this model" if self.allowed and model not in self.allowed else ""


@dataclass(frozen=True)
class Keyring:
    """The keys of one provider, as one organization may use them: its own before the platform's, the default first."""

    held: Sequence[Held] = ()

    def of_model(
        self, model: str, *, needs_key: bool, was_listed: bool
    ) -> tuple[tuple[Key, ...], tuple[UnusedKey, ...]]:
        """(those to be used for it, those that are not and why)"""
        reasons = [(held.key, held.against(model, was_listed=was_listed)) for held in self.held]
        usable = tuple(key for key, why_not in reasons if not why_not)
        if not usable and not needs_key:
            usable = (NO_KEY,)
        # The platform's are all called the same: they are told once.
        unused = dict.fromkeys(UnusedKey(key.label, why_not) for key, why_not in reasons if why_not)
        return usable, tuple(unused)

    def is_listed(self, model: str) -> bool:
        """By its provider, to a key that may be used for it."""
        return any(model in held.listed and not held.against(model) for held in self.held)


NO_KEYS = Keyring()


def keyrings(
    session: DbSession, here: uuid.UUID, providers: Collection[uuid.UUID], policy: Policy
) -> dict[uuid.UUID, Keyring]:
    """By provider."""
    if not providers:
        return {}
    rows: dict[uuid.UUID, list[Any]] = {}
    for row in session.execute(_KEYS, {"here": here, "providers": list(providers)}):
        rows.setdefault(row.provider_id, []).append(row)
    return {provider: Keyring(_held(found, policy)) for provider, found in rows.items()}


def _held(rows: Iterable[Any], policy: Policy) -> list[Held]:
    rows = sorted(rows, key=lambda row: row.organization_id is None)
    seen: Counter[str] = Counter()
    found = []
    for row in rows:
        payer = Payer.ORGANIZATION if row.organization_id else Payer.PLATFORM
        label = PLATFORM if payer is Payer.PLATFORM else row.label
        seen[label] += payer is Payer.ORGANIZATION
        name = f"{label} ({seen[label]})" if seen[label] > 1 else label
        key = Key(row.id, name, payer, row.weight, row.goes_first)
        why_not = policy.against(payer) or _state_against(row, payer)
        found.append(Held(key, why_not, frozenset(row.listed_models), frozenset(row.allowed_models)))
    return found


def _state_against(row: Any, payer: Payer) -> str:
    if row.is_enabled and not row.is_expired and not row.is_elsewhere:
        return ""
    if payer is Payer.PLATFORM:
        return OFF_DUTY
    if not row.is_enabled:
        return "it is switched off"
    if row.is_expired:
        return f"it expired on {row.expires_at:%-d %B %Y at %H:%M} UTC"
    return "its provider’s address changed, so it must be entered again"
