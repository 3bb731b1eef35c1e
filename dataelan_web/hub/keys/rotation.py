"""The encryption keys under all that is sealed: which are in use, sealing anew, checking that all can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select, true

from ...accounts import two_factor
from ...acting import declaring
from ...extensions import db
from ...models import ActionReceiver, APIKey, Authenticator, Delivery, DeliveryState, IdentityProvider, Webhook
from ...models.base import NIL
from ...notify import letters, webhooks
from ...secrets import VERSION, Place, Unreadable, keyring
from ...sso import settings as sso

BATCH = 500
Secretive = APIKey | Authenticator | Webhook | ActionReceiver | IdentityProvider | Delivery


class Sealed(NamedTuple):
    """One column of ciphertexts, some of them empty, and what each is bound to."""

    model: type[Any]
    column: str
    place: Callable[..., Place]
    name: str = ""
    """… within the column, where that is JSON."""
    which: ColumnElement[bool] = true()
    """Rows in which it is still read."""

    @property
    def text(self) -> ColumnElement[str]:
        column: Any = getattr(self.model, self.column)
        text: ColumnElement[str] = column[self.name].astext if self.name else column
        return text

    @property
    def is_there(self) -> ColumnElement[bool]:
        return (self.text != "") & self.which

    def of(self, row: Secretive) -> str:
        kept = getattr(row, self.column)
        return str(kept[self.name] if self.name else kept)

    def put(self, row: Secretive, text: str) -> None:
        setattr(row, self.column, {**getattr(row, self.column), self.name: text} if self.name else text)


def place_of(key: APIKey) -> Place:
    """What a provider key's ciphertext is bound to."""
    return Place(key.organization_id, key.id, "ciphertext", key.provider.address)


SEALED = (
    Sealed(APIKey, "ciphertext", place_of),
    Sealed(Webhook, "ciphertext", webhooks.place_of),
    Sealed(Webhook, "previous_ciphertext", webhooks.previous_place_of),
    Sealed(Authenticator, "ciphertext", two_factor.place_of),
    Sealed(IdentityProvider, "ciphertext", sso.place_of),
    Sealed(ActionReceiver, "ciphertext", declaring.place_of),
    Sealed(ActionReceiver, "previous_ciphertext", declaring.previous_place_of),
    Sealed(Delivery, "payload", letters.place_of, letters.SEALED, Delivery.state == DeliveryState.WAITING),
)


DAMAGED = "?"
"""Stands for the encryption key of what is no ciphertext at all."""


def counts() -> Counter[str]:
    """Encryption key id → secrets sealed with it."""
    found: Counter[str] = Counter()
    for sealed in SEALED:
        texts = db.session.scalars(select(sealed.text).where(sealed.is_there))
        found.update(text.split(".")[1] if "." in text else DAMAGED for text in texts)
    return found


def unreadable() -> list[tuple[Secretive, str]]:
    bad = []
    for sealed in SEALED:
        for row in db.session.scalars(select(sealed.model).where(sealed.is_there).order_by(sealed.model.id)):
            try:
                keyring().decrypt(sealed.of(row), sealed.place(row))
            except Unreadable as problem:
                bad.append((row, str(problem)))
    return bad


def name_of(row: Secretive) -> str:
    if isinstance(row, Authenticator | IdentityProvider):
        return row.name
    if isinstance(row, Delivery):
        return f"a letter to {row.address}"
    return row.origin if isinstance(row, ActionReceiver) else row.label


def rotate() -> int:
    """Seal every secret with the newest encryption key: online, in batches, safe to break off and run again.

    What cannot be read is left as it is; `unreadable` names it."""
    return sum(_rotate(sealed) for sealed in SEALED)


def _rotate(sealed: Sealed) -> int:
    done, after = 0, NIL
    model = sealed.model
    current = f"{VERSION}.{keyring().newest}.%"
    while batch := db.session.scalars(
        select(model)
        .where(sealed.text.not_like(current), sealed.is_there, model.id > after)
        .order_by(model.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    ).all():
        done += sum(_seal_anew(row, sealed) for row in batch)
        after = batch[-1].id
        db.session.commit()
    return done


def _seal_anew(row: Secretive, sealed: Sealed) -> bool:
    place = sealed.place(row)
    try:
        secret = keyring().decrypt(sealed.of(row), place)
    except Unreadable:
        return False
    sealed.put(row, keyring().encrypt(secret, place))
    return True
