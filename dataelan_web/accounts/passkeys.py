"""Passkeys: made, used and removed. The ceremony is the browser's, what it says is checked by py_webauthn.

A passkey is tied to the name under which people reach Dataelan (DATAELAN_PUBLIC_URL), and counts as both factors: it
wants a finger, a face or a PIN (user verification), and a thing that holds it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import abort, current_app
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from .. import audit
from ..extensions import db
from ..models import Passkey, User, Way, new_id, now
from . import challenges, changing, factors, signing_in, two_factor

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

MOST, LONGEST = 20, 20_000
"""Passkeys of one person; characters of what a browser says of one."""
SIGN_IN = "sign-in"
TOO_LATE = "That took too long, or was answered already. Try once more."
UNKNOWN = "This passkey is not known here: it may have been removed. Sign in another way."
REFUSED = "This passkey was not accepted. Try it once more, or sign in another way."
COPIED = "This passkey may have been copied: it counts fewer uses than we have seen. Sign in another way and remove it."
NOT_MADE = "What your browser answered is no passkey that counts here. Try once more, or with another device."


class Refused(ValueError):
    """The message is for the person."""


@dataclass(frozen=True)
class Place:
    """For whom passkeys are made (the relying party): `id`, a name; and where a browser has to say that it is."""

    id: str
    origin: str


def place() -> Place | None:
    """None: people reach Dataelan by a number, and no browser makes passkeys for one. This machine has a name."""
    url = urlsplit(current_app.extensions["dataelan_settings"].public_url)
    host, port = url.hostname or "", f":{url.port}" if url.port else ""
    with suppress(ValueError):
        if not ip_address(host).is_loopback:
            return None
        host = "localhost"
    return Place(host, f"{url.scheme}://{host}{port}")


def of(user: User) -> Sequence[Passkey]:
    return db.session.scalars(select(Passkey).where(Passkey.user_id == user.id).order_by(Passkey.id)).all()


def find(user: User, id: uuid.UUID) -> Passkey | None:
    """None: they have none with this id."""
    return db.session.scalars(select(Passkey).where(Passkey.user_id == user.id, Passkey.id == id)).first()


def adding(user: User) -> str:
    return f"add:{user.id}"


def second_step(user: User) -> str:
    return f"second:{user.id}"


def proof(user: User) -> str:
    return f"proof:{user.id}"


def to_add(user: User) -> str:
    """What the browser is to make, as JSON. None twice in the same device."""
    import webauthn
    from webauthn.helpers import structs

    here = _here()
    return webauthn.options_to_json(
        webauthn.generate_registration_options(
            rp_id=here.id,
            rp_name="Dataelan",
            user_id=user.id.bytes,
            user_name=user.email,
            user_display_name=user.name,
            challenge=challenges.issue(adding(user)),
            timeout=challenges.LASTS * 1000,
            attestation=structs.AttestationConveyancePreference.NONE,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_described(of(user)),
        )
    )


def to_use(purpose: str, user: User | None = None) -> str:
    """What the browser is to sign, as JSON: with one of this person's, or with whichever somebody chooses."""
    import webauthn
    from webauthn.helpers import structs

    here = _here()
    return webauthn.options_to_json(
        webauthn.generate_authentication_options(
            rp_id=here.id,
            challenge=challenges.issue(purpose),
            timeout=challenges.LASTS * 1000,
            allow_credentials=_described(of(user)) if user else [],
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
    )


def add(user: User, name: str, said: str) -> list[str]:
    """`said`: what the browser made, as JSON. Recovery codes, which are shown once, where it is their first second
    factor; every other sign-in of theirs ends then. Raises Refused. Commits."""
    import webauthn
    from webauthn.helpers import structs

    here, challenge = _here(), _taken(adding(user), said)
    if len(of(user)) >= MOST:
        raise Refused(f"You have {MOST} passkeys. Remove one first.")
    with _of_a_stranger(NOT_MADE):
        answer = webauthn.helpers.parse_registration_credential_json(said)
        made = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=here.id,
            expected_origin=here.origin,
            require_user_verification=True,
        )
    row = Passkey(id=new_id(), user_id=user.id, name=name, credential_id=made.credential_id)
    row.public_key, row.sign_count = made.credential_public_key, made.sign_count
    row.is_synced = made.credential_device_type is structs.CredentialDeviceType.MULTI_DEVICE
    row.transports = [one.value for one in answer.response.transports or []]
    is_first = not factors.any_of(user)
    signing_in.note_shown(Way.PASSKEY)  # they have it in their hand
    db.session.add(row)
    try:
        db.session.flush()
    except IntegrityError as error:
        db.session.rollback()
        raise Refused("There is a passkey of this device already.") from error
    audit.record("account.passkey_added", user, passkey=name)
    changing.tell(user.email, "A passkey was added", f"“{name}” signs you in from now on. {changing.NOT_YOU}")
    if is_first:
        factors.begin(user)
        return two_factor.renew_codes(user)
    db.session.commit()
    return []


def used(purpose: str, said: str, user: User | None = None) -> Passkey:
    """The passkey that answered. `said`: what the browser answered, as JSON; `user`: whose it has to be. Raises
    Refused. Commits."""
    import webauthn

    here, challenge = _here(), _taken(purpose, said)
    with _of_a_stranger(REFUSED):
        answer = webauthn.helpers.parse_authentication_credential_json(said)
    row = _named(answer.raw_id, answer.response.user_handle, user)
    with _of_a_stranger(REFUSED):
        proven = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=here.id,
            expected_origin=here.origin,
            credential_public_key=row.public_key,
            credential_current_sign_count=0,  # looked at below, once it is sure that the passkey said it
            require_user_verification=True,
        )
    count = proven.new_sign_count
    if (count or row.sign_count) and count <= row.sign_count:
        _suspect(row, count)
    row.sign_count, row.used_at = count, now()
    audit.record("account.passkey_used", row.user, passkey=row.name)
    db.session.commit()
    return row


def rename(row: Passkey, name: str) -> None:
    """Commits."""
    audit.record("account.passkey_renamed", row.user, before=row.name, after=name)
    row.name = name
    db.session.commit()


def is_only_way(row: Passkey) -> bool:
    """Without it, could they sign in no more?"""
    return not row.user.can_have_password and len(of(row.user)) == 1


def remove(row: Passkey) -> None:
    """Commits."""
    user = row.user
    db.session.delete(row)
    db.session.flush()
    if not of(user):
        signing_in.forget_shown(user, Way.PASSKEY)
    audit.record("account.passkey_removed", user, passkey=row.name)
    changing.tell(user.email, "A passkey was removed", f"“{row.name}” signs you in no more. {changing.NOT_YOU}")
    factors.removed(user)
    db.session.commit()


def _here() -> Place:
    """404 where there are none, as if there was no such page."""
    return place() or abort(404)


def _taken(purpose: str, said: str) -> bytes:
    """The challenge, which is spent whatever comes of it. Raises Refused. Commits."""
    challenge = challenges.take(purpose) if len(said) <= LONGEST else None
    db.session.commit()
    if challenge is None:
        raise Refused(TOO_LATE)
    return challenge


@contextmanager
def _of_a_stranger(told: str) -> Iterator[None]:
    """What is read here anybody may have sent: parsers of JSON, CBOR, keys and certificates fail in many ways."""
    try:
        yield
    except Exception as error:
        db.session.rollback()
        raise Refused(told) from error


def _described(rows: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    from webauthn.helpers import structs

    return [
        structs.PublicKeyCredentialDescriptor(
            id=row.credential_id, transports=[structs.AuthenticatorTransport(one) for one in row.transports]
        )
        for row in rows
    ]


def _named(credential_id: bytes, handle: bytes | None, user: User | None) -> Passkey:
    """Locked: of two answers at once the second sees the count of the first. Raises Refused."""
    query = select(Passkey).where(Passkey.credential_id == credential_id).with_for_update()
    row = db.session.scalars(query.execution_options(populate_existing=True)).first()
    whose = user.id.bytes if user and handle is None else handle  # which it may leave out where it was named
    if row is None or row.user_id.bytes != whose or (user and user.id != row.user_id):
        raise Refused(UNKNOWN)
    return row


def _suspect(row: Passkey, count: int) -> None:
    """Raises Refused. Commits."""
    audit.record("account.passkey_refused", row.user, passkey=row.name, count=count, seen=row.sign_count)
    changing.tell(row.user.email, "A passkey was refused", f"“{row.name}”: it may have been copied. {changing.NOT_YOU}")
    db.session.commit()
    raise Refused(COPIED)
