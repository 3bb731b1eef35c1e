"""Provider keys: checked with the provider, sealed, shown never again."""

from __future__ import annotations

import uuid

from sqlalchemy import func, select

from .. import audit
from ..extensions import db
from ..models import APIKey, Organization, Provider, new_id
from ..secrets import Place, keyring
from .listing import check_key, keep
from .rotation import place_of


def add_key(provider: Provider, organization: Organization, user_id: uuid.UUID, label: str, secret: str) -> APIKey:
    """Check, seal and keep a key, with the models it can use. Raises router Failure. Commits."""
    listed = check_key(provider, secret)
    # One at a time from here: two would both be the first, and both make the models nobody had listed before.
    db.session.refresh(provider, with_for_update={"key_share": True})
    key = seal(provider, organization, user_id, label, secret)
    models = keep(provider, listed, organization.id)
    key.listed_models = [model.name for model in models]
    audit.record("key.created", key, organization.id, provider=provider.slug)
    db.session.commit()
    return key


def seal(provider: Provider, organization: Organization, user_id: uuid.UUID | None, label: str, secret: str) -> APIKey:
    """An encrypted key, bound to its row, organization and the provider's origin. The first is the default."""
    row_id = new_id()
    is_first = not db.session.scalar(
        select(func.count()).where(APIKey.provider_id == provider.id, APIKey.organization_id == organization.id)
    )
    key = APIKey(
        id=row_id,
        provider=provider,
        organization_id=organization.id,
        label=label,
        ciphertext=keyring().encrypt(secret, Place(organization.id, row_id, "ciphertext", provider.origin)),
        last_four=_last_four(secret),
        is_default=is_first,
        created_by=user_id,
    )
    db.session.add(key)
    return key


def reseal(key: APIKey, secret: str) -> None:
    """Another secret in the same row."""
    key.ciphertext = keyring().encrypt(secret, place_of(key))
    key.last_four = _last_four(secret)
    key.last_error = ""


def _last_four(secret: str) -> str:
    return secret[-4:] if len(secret) >= 12 else ""


def delete_key(key: APIKey) -> None:
    """Commits. Another key of the same provider becomes the default."""
    audit.record("key.deleted", key, key.organization_id, provider=key.provider.slug)
    provider_id, organization_id, was_default = key.provider_id, key.organization_id, key.is_default
    db.session.delete(key)
    db.session.flush()
    if was_default:
        heir = db.session.scalars(
            select(APIKey)
            .where(APIKey.provider_id == provider_id, APIKey.organization_id == organization_id)
            .order_by(APIKey.id)
        ).first()
        if heir:
            heir.is_default = True
    db.session.commit()
