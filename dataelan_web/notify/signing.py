"""Standard Webhooks 1.0: a message's headers, signed with a secret that both sides know.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

PREFIX = "whsec_"


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def headers(id: str, at: datetime, body: bytes, keys: Sequence[str]) -> dict[str, str]:
    """Signed with each of the secrets, so that a receiver who knows any of them can tell that it is from us.

    `id` stays the same however often the message is tried; it must not hold a full stop.
    """
    if not keys or not all(key.startswith(PREFIX) for key in keys):
        raise ValueError("a message is signed, or not sent")
    stamp = str(int(at.timestamp()))
    return {
        "webhook-id": id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(_signature(f"{id}.{stamp}.".encode() + body, key) for key in keys),
    }


def _signature(content: bytes, key: str) -> str:
    digest = hmac.digest(base64.b64decode(key.removeprefix(PREFIX)), content, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"
