"""Provider keys: checked with the provider, sealed, shown never again. Every verb commits and is noted in the audit."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import abort
from sqlalchemy import ColumnElement, and_, exists, func, select, update
from sqlalchemy.orm.attributes import flag_modified

from ... import audit, quota
from ...executions.health import health as vitals
from ...extensions import db
from ...models import APIKey, Attempt, Budget, Organization, Provider, Scope, Unit, Window, new_id, now
from ...models.hub import ENTER_AGAIN
from ...router.types import Failure, Kind
from ...secrets import Place, Unreadable, keyring
from ..models import assumed
from ..providers.checking import Checked, check
from ..providers.listing import keep
from .rotation import place_of

UNREADABLE = "The stored key cannot be read any more. Enter it again."


@dataclass(frozen=True)
class KeySettings:
    """What may be changed of a key without knowing its secret."""

    label: str
    weight: int = 1
    daily_quota: int | None = None
    """Nano-USD; None: no limit of its own."""
    allowed_models: tuple[str, ...] = ()
    expires_at: datetime | None = None


def add_key(
    provider: Provider,
    owner: Organization | None,
    user_id: uuid.UUID | None,
    secret: str,
    settings: KeySettings,
    *,
    is_default: bool = False,
) -> tuple[APIKey, Checked]:
    """Check, seal and keep a key; without an owner it is the platform's. Raises router Failure."""
    checked = check(provider, secret)
    _hold(provider)
    key = seal(provider, owner, user_id, settings.label, secret)
    db.session.flush()
    _apply(key, settings)
    if is_default:
        _make_default(key)
    if provider.organization_id is not None:
        provider.needs_key = True
        assumed.end(provider)
    if checked.is_proven:
        key.last_used_at = now()
    _remember(key, checked)
    audit.record("key.created", key, key.organization_id, provider=provider.slug)
    db.session.commit()
    return key, checked


def seal(provider: Provider, owner: Organization | None, user_id: uuid.UUID | None, label: str, secret: str) -> APIKey:
    """An encrypted key, bound to its row, owner and the provider's address. An owner's first is the default."""
    row_id, owner_id = new_id(), owner.id if owner else None
    is_first = not db.session.scalar(select(func.count(APIKey.id)).where(_siblings(provider.id, owner_id)))
    key = APIKey(
        id=row_id,
        provider=provider,
        organization_id=owner_id,
        label=label,
        ciphertext=keyring().encrypt(secret, Place(owner_id, row_id, "ciphertext", provider.address)),
        last_four=_last_four(secret),
        is_default=is_first,
        created_by=user_id,
    )
    db.session.add(key)
    return key


def change_key(key: APIKey, settings: KeySettings) -> None:
    before = settings_of(key)
    _apply(key, settings)
    changed = [name for name in vars(settings) if getattr(before, name) != getattr(settings, name)]
    if changed:
        told = [{name: _told(getattr(one, name)) for name in changed} for one in (before, settings)]
        audit.record("key.changed", key, key.organization_id, provider=key.provider.slug, before=told[0], **told[1])
    db.session.commit()


def _told(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def replace_secret(key: APIKey, secret: str) -> Checked:
    """Another secret in the same row, once the provider has accepted it. Raises router Failure."""
    checked = check(key.provider, secret)
    one_at_a_time(key.provider_id)
    _hold(key)
    reseal(key, secret)
    key.last_used_at = now() if checked.is_proven else None  # what the old one did says nothing of it
    _remember(key, checked)
    audit.record("key.replaced", key, key.organization_id, provider=key.provider.slug)
    db.session.commit()
    return checked


def reseal(key: APIKey, secret: str) -> None:
    key.ciphertext = keyring().encrypt(secret, place_of(key))
    key.last_four = _last_four(secret)
    _is_well(key)


def test_key(key: APIKey) -> Checked:
    """Ask the provider with the stored key, and note what comes of it. Raises router Failure."""
    audit.record("key.tested", key, key.organization_id, provider=key.provider.slug)
    try:
        secret = secret_of(key)
        _opens(key)
        checked = check(key.provider, secret)
    except Failure as failure:
        is_its_own = failure.kind in (Kind.CREDENTIAL, Kind.BILLING, Kind.RATE_LIMIT)
        if is_its_own and key.last_error != ENTER_AGAIN:  # which says more, and keeps it out of use
            _note(key, failure.kind, failure.message)
            vitals().rest_key(key.id, failure.kind, failure.after)
        db.session.commit()
        raise
    if checked.is_proven:
        _is_well(key)
        key.last_used_at = now()
    _remember(key, checked)
    db.session.commit()
    return checked


def secret_of(key: APIKey) -> str:
    """Raises router Failure for a key that was sealed for another place, or with an encryption key that is gone."""
    try:
        return keyring().decrypt(key.ciphertext, place_of(key))
    except Unreadable as unreadable:
        raise Failure(Kind.CREDENTIAL, UNREADABLE, sent=False) from unreadable


def set_enabled(key: APIKey, is_enabled: bool) -> None:
    if key.is_enabled != is_enabled:
        key.is_enabled = is_enabled
        vitals().wake_key(key.id)
        action = "key.enabled" if is_enabled else "key.disabled"
        audit.record(action, key, key.organization_id, provider=key.provider.slug)
    db.session.commit()


def make_default(key: APIKey) -> None:
    one_at_a_time(key.provider_id)
    db.session.refresh(key)
    if not key.is_default:
        _make_default(key)
        audit.record("key.made_default", key, key.organization_id, provider=key.provider.slug)
    db.session.commit()


def set_order(key: APIKey, *, goes_first: bool) -> None:
    """Is the default asked first, and its owner's others when it cannot be used? Else weights decide. A key that is not
    the default becomes it."""
    one_at_a_time(key.provider_id)
    db.session.refresh(key)
    if (key.is_default, key.goes_first) != (True, goes_first):
        _make_default(key)
        key.goes_first = goes_first
        audit.record("key.order_set", key, key.organization_id, provider=key.provider.slug, goes_first=goes_first)
    db.session.commit()


def delete_key(key: APIKey) -> None:
    """Another key of the same provider becomes the default."""
    one_at_a_time(key.provider_id)
    audit.record("key.deleted", key, key.organization_id, provider=key.provider.slug)
    siblings, was_default, went_first = _siblings(key.provider_id, key.organization_id), key.is_default, key.goes_first
    quota.forget(db.session, key.id)
    destroy(key)
    db.session.flush()
    if was_default and (heir := db.session.scalars(select(APIKey).where(siblings).order_by(APIKey.id)).first()):
        heir.is_default, heir.goes_first = True, went_first
    db.session.commit()


def destroy(key: APIKey) -> None:
    """Its secret is gone for good. A key that made runs leaves its label with them, and is seen nowhere else."""
    db.session.refresh(key, with_for_update={"of": APIKey})
    if not db.session.scalar(select(exists().where(Attempt.api_key_id == key.id))):
        db.session.delete(key)
        return
    key.ciphertext, key.listed_models = "", []
    key.is_default = key.goes_first = key.is_enabled = False
    key.archived_at = now()


def enter_again(key: APIKey) -> None:
    """Its provider moved: what is sealed for the old address is never sent to the new one."""
    _note(key, Kind.CREDENTIAL, ENTER_AGAIN)


def settings_of(key: APIKey) -> KeySettings:
    return KeySettings(key.label, key.weight, key.daily_quota, tuple(key.allowed_models), key.expires_at)


def _apply(key: APIKey, settings: KeySettings) -> None:
    key.label, key.weight, key.expires_at = settings.label, settings.weight, settings.expires_at
    key.allowed_models = list(settings.allowed_models)
    _limit(key, settings.daily_quota)


def _limit(key: APIKey, daily_quota: int | None) -> None:
    """The column is what pages of keys show; the budget is what is held to. Whatever sets, deletes or restores the
    budget changes both (quota/setting.py)."""
    if daily_quota == key.daily_quota:
        return
    if daily_quota is not None:
        quota.set_limit(db.session, key.organization_id, Scope.KEY, key.id, Window.DAY, daily_quota, is_hard=None)
        return
    mine = (Budget.scope == Scope.KEY, Budget.subject_id == key.id, Budget.window == Window.DAY)
    living = select(Budget).where(*mine, Budget.unit == Unit.USD, Budget.deleted_at.is_(None))
    for budget in db.session.scalars(living).all():
        quota.delete_limit(db.session, budget, audit.actor_id())
    key.daily_quota = None


def _make_default(key: APIKey) -> None:
    """Where the default goes first, the new one does."""
    its = and_(_siblings(key.provider_id, key.organization_id), APIKey.is_default, APIKey.id != key.id)
    went_first = db.session.scalar(select(exists().where(its, APIKey.goes_first)))
    db.session.execute(update(APIKey).where(its).values(is_default=False, goes_first=False))
    key.is_default, key.goes_first = True, key.goes_first or bool(went_first)


def one_at_a_time(provider_id: uuid.UUID) -> None:
    """From here to the commit: two would both be the default, and both make the models nobody had listed before."""
    db.session.execute(select(Provider.id).where(Provider.id == provider_id).with_for_update(key_share=True))


def _hold(row: APIKey | Provider) -> None:
    """From here to the commit nobody deletes it. 404 where somebody has, while its provider was asked: a secret would
    be kept with what is gone."""
    table: Any = type(row)
    there = select(table.id).where(table.id == row.id, table.archived_at.is_(None))
    if db.session.scalar(there.with_for_update(key_share=True)) is None:
        db.session.rollback()
        abort(404)


def _siblings(provider_id: uuid.UUID, owner_id: uuid.UUID | None) -> ColumnElement[bool]:
    return and_(APIKey.provider_id == provider_id, APIKey.organization_id == owner_id, APIKey.archived_at.is_(None))


def _remember(key: APIKey, checked: Checked) -> None:
    """The models the provider listed to this key."""
    if checked.listed is not None:
        one_at_a_time(key.provider_id)
        key.listed_models = [model.name for model in keep(key.provider, checked.listed, key.organization_id)]


def _note(key: APIKey, kind: Kind, message: str) -> None:
    key.last_error, key.last_error_kind, key.last_error_at = message, kind.value, now()


def _is_well(key: APIKey) -> None:
    _opens(key)
    key.last_error, key.last_error_kind = "", ""
    vitals().wake_key(key.id)


def _opens(key: APIKey) -> None:
    """It was entered again, or its provider has moved back."""
    if key.last_error == ENTER_AGAIN:
        key.last_error, key.last_error_kind = "", ""
        # Written though it may be the same, so that the hub counts as changed (migration hubversions): its rules are
        # remembered with this key left out.
        flag_modified(key, "last_four")


def _last_four(secret: str) -> str:
    return secret[-4:] if len(secret) >= 12 else ""
