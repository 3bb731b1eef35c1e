"""A software authenticator: makes passkeys and signs with them, as a device does (WebAuthn level 3, ES256, attestation
none). It says what it is told to say, also what no browser would."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, SYNCABLE, SYNCED, WITH_KEY = 0x01, 0x04, 0x08, 0x10, 0x40


@dataclass
class Device:
    """One passkey, for the person of the options that it was made with. Whatever it says can be set."""

    origin: str = "http://localhost:8000"
    rp_id: str = "localhost"
    flags: int = PRESENT | VERIFIED
    counts: bool = True
    count: int = 0
    handle: str = ""
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def make(self, options: dict[str, Any]) -> str:
        """What navigator.credentials.create() answers, as JSON."""
        self.handle = options["user"]["id"]
        point = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        made = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor2.dumps(cose)
        said = {"fmt": "none", "attStmt": {}, "authData": self._data(WITH_KEY) + made}
        parts = {"clientDataJSON": self._client("webauthn.create", options), "attestationObject": cbor2.dumps(said)}
        return self._answer(parts, transports=["internal", "hybrid", "by-pigeon"])

    def use(self, options: dict[str, Any]) -> str:
        """What navigator.credentials.get() answers, as JSON."""
        self.count += self.counts
        client, data = self._client("webauthn.get", options), self._data()
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        parts = {"clientDataJSON": client, "authenticatorData": data, "signature": signature}
        return self._answer(parts, userHandle=self.handle or None)

    def _data(self, flags: int = 0) -> bytes:
        return (
            hashlib.sha256(self.rp_id.encode()).digest() + bytes([self.flags | flags]) + self.count.to_bytes(4, "big")
        )

    def _client(self, kind: str, options: dict[str, Any]) -> bytes:
        said = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _answer(self, parts: dict[str, bytes], **more: Any) -> str:
        response = {**{name: text(part) for name, part in parts.items()}, **more}
        return json.dumps({"id": text(self.id), "rawId": text(self.id), "type": "public-key", "response": response})


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
