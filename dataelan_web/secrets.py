"""Secrets at rest: AES-256-GCM, bound to what they were entered for.

Format `dk2.<key id>.<nonce>.<ciphertext and tag>`, parts in base64url. The key is derived by HKDF-SHA256
per purpose. The additional data names the organization, row, field and the provider's address, so a
ciphertext moved to another row, organization or address does not decrypt: not by a check, by mathematics.
What was sealed as `dk1` is bound to the origin of that address only; `flask keys rotate` seals it anew.
"""

from __future__ import annotations

import base64
import os
import uuid
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app

VERSION, OLDER = "dk2", "dk1"
PURPOSE = b"dataelan/provider-key/v1"
MARK = b"dataelan/key-mark/v1"
NONCE_BYTES = 12
DAMAGED = "it was sealed for another place, or is damaged"


class Unreadable(Exception):
    """A ciphertext does not decrypt: wrong key, moved to another place, or damaged."""


@dataclass(frozen=True)
class Place:
    """What a secret is bound to. `address` is where it may be sent: scheme://host:port, and of a provider's key the
    path that all its calls begin with."""

    organization_id: uuid.UUID | None
    row_id: uuid.UUID
    field: str
    address: str

    def additional_data(self, key_id: str, version: str) -> bytes:
        owner = self.organization_id or "platform"
        where = "/".join(self.address.split("/")[:3]) if version == OLDER else self.address
        return "|".join((version, key_id, str(owner), str(self.row_id), self.field, where)).encode()


class Envelope(NamedTuple):
    """A ciphertext, taken apart for who opens it more than once. It holds no secret."""

    cipher: AESGCM
    nonce: bytes
    sealed: bytes
    bound_to: bytes
    """The additional data."""

    def open(self) -> str:
        """Raises Unreadable; never returns an empty or partial secret."""
        try:
            return self.cipher.decrypt(self.nonce, self.sealed, self.bound_to).decode()
        except (ValueError, InvalidTag) as error:
            raise Unreadable(DAMAGED) from error


class Keyring:
    """The keys of DATAELAN_KEYS: the first encrypts, all decrypt."""

    def __init__(self, keys: tuple[tuple[str, bytes], ...]):
        self.newest = keys[0][0]
        self.ids = tuple(name for name, _ in keys)
        self.marks = {name: _derive(key, MARK).hex()[:16] for name, key in keys}
        """By which a key is known again, and tells nothing of it: its name does not, as each `make run` has a k1."""
        self._ciphers = {name: AESGCM(_derive(key, PURPOSE)) for name, key in keys}

    def encrypt(self, secret: str, place: Place) -> str:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self.newest].encrypt(nonce, secret.encode(), place.additional_data(self.newest, VERSION))
        return ".".join((VERSION, self.newest, _encode(nonce), _encode(sealed)))

    def decrypt(self, ciphertext: str, place: Place) -> str:
        """Raises Unreadable; never returns an empty or partial secret."""
        return self.envelope(ciphertext, place).open()

    def envelope(self, ciphertext: str, place: Place) -> Envelope:
        """Raises Unreadable, where that is seen before it is opened."""
        try:
            version, key_id, nonce, sealed = ciphertext.split(".")
            if version not in (VERSION, OLDER):
                raise Unreadable(f"unknown format {version!r}")
            cipher = self._ciphers[key_id]
            return Envelope(cipher, _decode(nonce), _decode(sealed), place.additional_data(key_id, version))
        except KeyError as error:
            raise Unreadable("the encryption key it was sealed with is not in DATAELAN_KEYS") from error
        except ValueError as error:
            raise Unreadable(DAMAGED) from error


def keyring() -> Keyring:
    ring: Keyring = current_app.extensions["dataelan_keyring"]
    return ring


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
