"""The addresses that people name for servers of their own, and servers that are found on this machine."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, current_app
from sqlalchemy import select

from ...extensions import db, one_of_each
from ...models import Organization, Provider
from ...router.addresses import is_listed, is_public
from ...router.lookup import Late, lookups
from ...router.reaching import NOT_LISTED
from ...router.types import Failure
from .listing import list_models

NAMES = {11434: "Ollama", 1234: "LM Studio", 8080: "llama.cpp", 18080: "A local model server"}
LOOK_AGAIN = 20.0


@dataclass(frozen=True)
class Found:
    name: str
    url: str
    models_count: int


class AddressRefused(Exception):
    """The address may not be used; the message says why."""


def found_locally(organization: Organization) -> list[Found]:
    """Model servers that answer on this machine and are not connected yet. Asked at most every 20 s."""
    if not current_app.extensions["dataelan_settings"].private_addresses:
        return []
    mine = (Provider.organization_id == organization.id, Provider.archived_at.is_(None))
    connected = set(db.session.scalars(select(Provider.base_url).where(*mine)))
    found = _look().around(current_app._get_current_object())  # type: ignore[attr-defined]
    return [server for server in found if server.url not in connected]


@one_of_each("dataelan_local_servers")
def _look() -> _Look:
    """This application's."""
    return _Look()


def check_address(base_url: str, *, may_be_private: bool = False) -> bool:
    """May a person name this address? If so: is it a private one? Raises AddressRefused."""
    host, listed = host_of(base_url)[0], current_app.extensions["dataelan_settings"].reachable_hosts
    if listed and not is_listed(host, listed):
        raise AddressRefused(NOT_LISTED.format(host))
    is_inside = is_private(base_url)
    if is_inside and not (may_be_private or current_app.extensions["dataelan_settings"].private_addresses):
        raise AddressRefused("Private addresses may not be used here. Ask the operator (DATAELAN_PRIVATE_ADDRESSES).")
    if not is_inside and not base_url.startswith("https:"):
        raise AddressRefused("A public address must use https, or the key would travel unprotected.")
    return is_inside


def is_private(base_url: str) -> bool:
    """Does it lead to a private address? Raises AddressRefused for what is no address, or nobody's."""
    host, port = host_of(base_url)
    try:
        found = lookups.addresses(host, port)
    except (OSError, ValueError, Late) as error:
        raise AddressRefused(f"No machine is known by the name {host}.") from error
    return not all(map(is_public, found))


def host_of(base_url: str) -> tuple[str, int]:
    """Host and port of an http address. Raises AddressRefused, also for what two programs could read differently."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        host, port = "", 0
    if not host or not re.fullmatch(r"https?://[^@\\?#]+", base_url) or not re.fullmatch(r"[!-~]+", base_url):
        raise AddressRefused("Enter an address such as https://models.example.com/v1, without a user name.")
    return host, port


class _Look:
    """Which of the usual local addresses answered last. Kept for a moment: a page must not wait for it each time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: float | None = None
        self._found: list[Found] = []

    def around(self, app: Flask) -> list[Found]:
        with self._lock:  # whoever comes meanwhile waits for this look instead of taking one too
            if self._at is None or time.monotonic() - self._at > LOOK_AGAIN:
                urls = app.extensions["dataelan_settings"].local_servers
                with ThreadPoolExecutor(max(len(urls), 1)) as pool:
                    self._found = [found for found in pool.map(lambda url: _probe(app, url), urls) if found]
                self._at = time.monotonic()
            return self._found


def _probe(app: Flask, url: str) -> Found | None:
    with app.app_context():
        try:
            listed = list_models("openai", url, "", is_trusted=True, seconds=0.5) or []
        except Failure:
            return None
    if not listed:
        return None
    return Found(NAMES.get(urlsplit(url).port or 0, "A model server"), url, len(listed))
