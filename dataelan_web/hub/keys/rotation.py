"""The encryption keys under the provider keys: which are in use, sealing anew, checking that all can be read."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import select

from ...extensions import db
from ...models import APIKey
from ...models.base import NIL
from ...secrets import Place, Unreadable, keyring

BATCH = 500
HAS_SECRET = APIKey.archived_at.is_(None)
"""The secret of an archived key is destroyed."""


def counts() -> Counter[str]:
    """Encryption key id → provider keys sealed with it."""
    sealed = db.session.scalars(select(APIKey.ciphertext).where(HAS_SECRET))
    return Counter(text.split(".")[1] if "." in text else "?" for text in sealed)


def unreadable() -> list[tuple[APIKey, str]]:
    bad = []
    for key in db.session.scalars(select(APIKey).where(HAS_SECRET).order_by(APIKey.id)):
        try:
            keyring().decrypt(key.ciphertext, place_of(key))
        except Unreadable as problem:
            bad.append((key, str(problem)))
    return bad


def rotate() -> int:
    """Seal every key with the newest encryption key: online, in batches, safe to break off and run again.

    What cannot be read is left as it is; `unreadable` names it."""
    done, after = 0, NIL
    current = f"dk1.{keyring().newest}.%"
    while batch := db.session.scalars(
        select(APIKey)
        .where(HAS_SECRET, APIKey.ciphertext.not_like(current), APIKey.id > after)
        .order_by(APIKey.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all():
        done += sum(_seal_anew(key) for key in batch)
        after = batch[-1].id
        db.session.commit()
    return done


def _seal_anew(key: APIKey) -> bool:
    place = place_of(key)
    try:
        key.ciphertext = keyring().encrypt(keyring().decrypt(key.ciphertext, place), place)
    except Unreadable:
        return False
    return True


def place_of(key: APIKey) -> Place:
    """What a provider key's ciphertext is bound to."""
    return Place(key.organization_id, key.id, "ciphertext", key.provider.origin)
