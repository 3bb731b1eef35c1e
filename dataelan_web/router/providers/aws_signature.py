"""AWS Signature Version 4: a request that is signed with an access key, which itself never travels.

Source: docs.aws.amazon.com/IAM, “Create a signed AWS API request”; AWS's test suite for it. AWS's own small library for
this, aws-sdk-signers, needs a newer Python than ours.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from dataelan_web.router.types import Call, Unsupported

ALGORITHM = "AWS4-HMAC-SHA256"
REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d+")
_UNSIGNED = {"user-agent", "connection", "expect"}
"""What a proxy on the way may change."""


@dataclass(frozen=True)
class AccessKey:
    """As it is typed: `id:secret`, and after further colons a region and a session token, as far as there are any."""

    id: str
    secret: str = field(repr=False)
    region: str = ""
    session_token: str = field(default="", repr=False)

    @classmethod
    def read(cls, key: str) -> AccessKey | None:
        """None: it is another kind of key."""
        id, _, rest = key.partition(":")
        secret, *more = rest.split(":")
        if not re.fullmatch(r"A[A-Z0-9]{9,127}", id) or not secret:
            return None
        region = more.pop(0) if more and REGION.fullmatch(more[0]) else ""
        return cls(id, secret, region, ":".join(more))


def region_of(url: str, key: AccessKey) -> str:
    """The region its host names, or the one that was typed with the key. Raises Unsupported."""
    host = urlsplit(url).hostname or ""
    named = next((label for label in host.split(".") if REGION.fullmatch(label)), "")
    if not (region := key.region or named):
        raise Unsupported("The address names no AWS region: enter the key as ID:SECRET:REGION.")
    return region


def signed(call: Call, key: AccessKey, region: str, service: str, at: datetime | None = None) -> Call:
    """The same request with its body as bytes, and the headers that prove who sends exactly this now."""
    moment = (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    content = call.content
    headers = {"X-Amz-Date": moment, **call.headers}
    if call.body is not None:
        content, headers["Content-Type"] = json.dumps(call.body).encode(), "application/json"
    if key.session_token:
        headers["X-Amz-Security-Token"] = key.session_token
    names, request = _canonical(call.method, call.url, headers, content or b"")
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join((ALGORITHM, moment, scope, _hash(request.encode())))
    signature = hmac.new(_signing_key(key.secret, scope), to_sign.encode(), hashlib.sha256).hexdigest()
    proof = f"{ALGORITHM} Credential={key.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return replace(call, headers=headers | {"Authorization": proof}, body=None, content=content)


def _canonical(method: str, url: str, headers: Mapping[str, str], content: bytes) -> tuple[str, str]:
    """(names of the headers that are signed, the request as both sides write it)"""
    parts = urlsplit(url)
    said = {name.lower(): " ".join(value.split()) for name, value in headers.items()} | {"host": parts.netloc}
    kept = sorted((name, value) for name, value in said.items() if name not in _UNSIGNED)
    names = ";".join(name for name, _ in kept)
    # A path is encoded once more than it was sent (all services but S3 want it so).
    lines = [method, quote(parts.path or "/", safe="/-_.~"), _query(parts.query)]
    lines += [f"{name}:{value}" for name, value in kept]
    return names, "\n".join([*lines, "", names, _hash(content)])


def _query(query: str) -> str:
    pairs = [(quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in
             parse_qsl(query, keep_blank_values=True)]  # fmt: skip
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
