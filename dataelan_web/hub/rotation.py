"""The encryption keys under the provider keys: which are in use, sealing anew, checking that all can be read."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import select

from ..extensions import db
from ..models import APIKey
from ..secrets import Place, Unreadable, keyring

BATCH = 500


def counts() -> Counter[str]:
    """Encryption key id → provider keys sealed with it."""
    return Counter(text.split(".")[1] for text in db.session.scalars(select(APIKey.ciphertext)))


def unreadable() -> list[tuple[APIKey, str]]:
    bad = []
    for key in db.session.scalars(select(APIKey).order_by(APIKey.id)):
        try:
            keyring().decrypt(key.ciphertext, place_of(key))
        except Unreadable as problem:
            bad.append((key, str(problem)))
    return bad


def rotate() -> int:
    """Seal every key with the newest encryption key: online, in batches, safe to break off and run again."""
    done = 0
    current = f"dk1.{keyring().newest}.%"
    while True:
        batch = db.session.scalars(
            select(APIKey)
            .where(APIKey.ciphertext.not_like(current))
            .order_by(APIKey.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        for key in batch:
            place = place_of(key)
            key.ciphertext = keyring().encrypt(keyring().decrypt(key.ciphertext, place), place)
        db.session.commit()
        done += len(batch)
        if len(batch) < BATCH:
            return done


def place_of(key: APIKey) -> Place:
    """What a provider key's ciphertext is bound to."""
    return Place(key.organization_id, key.id, "ciphertext", key.provider.origin)
