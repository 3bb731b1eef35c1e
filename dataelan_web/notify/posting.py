"""Hand a signed message to somebody's program, at an address that may be reached: payload, address, secrets → result.

Nothing here knows of webhooks' rows, nor of the database: what else is to be posted to a program is posted by this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from flask import current_app

from ..models import now
from ..router.addresses import is_listed, is_public, refusal
from ..router.exchange import Answered, post
from ..router.lookup import Late, lookups
from ..router.providers.failures import masked
from ..router.reaching import NOT_LISTED
from ..router.requests import origin
from ..router.types import Call, Failure
from ..router.wire import Client, Clients
from ..text import visible
from .result import Result
from .signing import headers

SECONDS = 15.0
"""In all, from the first byte sent to the last one read."""
MOST_BYTES = 16 * 1024
"""Of an answer that are read."""
MOST_SHOWN = 300
"""Characters of an answer that are kept, to help whoever looks for the fault."""
LONGEST = 2000
MOVED = "It sends us elsewhere; redirects are not followed. Correct the address."
GONE = "It answered 410 Gone: it wants no more messages."


class AddressRefused(Exception):
    """A program may not be called there; the message says why."""


def post_signed(url: str, payload: Mapping[str, Any], keys: Sequence[str], id: str) -> Result:
    """Send once and say what came of it. The caller holds no database connection: it may take SECONDS."""
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    signed = headers(id, now(), body, keys)
    call = Call(url, content=body, headers={"Content-Type": "application/json", **signed})
    try:
        return _result(post(_client(), call, "The receiver", SECONDS, MOST_BYTES))
    except Failure as failure:
        return Result(error=failure.message)


def check_address(url: str) -> None:
    """May a person name this address? Looked at again at each connection. Raises AddressRefused."""
    is_plain = len(url) <= LONGEST and re.fullmatch(r"https?://[^@\\/?#]+(/[^\\#]*)?(\?[^\\#]*)?", url)
    place = origin(url) if is_plain and re.fullmatch(r"[!-~]+", url) else None
    if place is None or not 0 < place[2] < 65536:
        raise AddressRefused("Enter an address such as https://hooks.example.com/dataelan, without a user name.")
    scheme, host, port = place
    listed = current_app.extensions["dataelan_settings"].reachable_hosts
    if listed and not is_listed(host.decode(), listed):
        raise AddressRefused(NOT_LISTED.format(host.decode()))
    found = _resolved(host.decode(), port)
    refused = next(filter(None, (refusal(address, port) for address in found)), None)
    if refused and not _may_be_private():
        raise AddressRefused(f"It leads to {refused}. Ask the operator to allow it (DATAELAN_PRIVATE_ADDRESSES).")
    if all(map(is_public, found)) and scheme != "https":
        raise AddressRefused("A public address must use https, or anybody on the way could read along.")


def origin_of(url: str) -> str:
    """scheme://host:port, which a secret is bound to."""
    scheme, host, port = origin(url) or ("", b"", 0)
    return f"{scheme}://{host.decode()}:{port}"


def _result(answered: Answered) -> Result:
    status = answered.status
    is_gone = status == 410
    return Result(status, _problem(answered), answered.after, answered.body, is_final=is_gone, is_gone=is_gone)


def _problem(answered: Answered) -> str:
    """Empty for an answer that takes the message."""
    status = answered.status
    if 200 <= status < 300:
        return ""
    if status == 410:
        return GONE
    if 300 <= status < 400:
        return MOVED
    said = masked(visible(" ".join(answered.body.decode(errors="replace").split())))  # it may quote what it got
    shown = f"{said[:MOST_SHOWN]}…" if len(said) > MOST_SHOWN else said
    return f"It answered {status}: {shown}" if shown else f"It answered {status}."


def _resolved(host: str, port: int) -> set[str]:
    try:
        return set(lookups.addresses(host.strip("[]"), port))
    except (OSError, ValueError, Late) as error:
        raise AddressRefused(f"No machine is known by the name {host}.") from error


def _client() -> Client:
    clients: Clients = current_app.extensions["dataelan_http"]
    return clients.reaching(_may_be_private())


def _may_be_private() -> bool:
    allowed: bool = current_app.extensions["dataelan_settings"].private_addresses
    return allowed
