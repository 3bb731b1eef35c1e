"""Servers of one's own: found on this machine, or named by address."""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from flask import Flask, current_app
from sqlalchemy import select

from .. import audit
from ..extensions import db
from ..models import APIKey, Model, Organization, Provider, User, new_id
from ..router.types import Failure
from . import catalogue
from .keys import seal
from .listing import keep, list_models

NAMES = {11434: "Ollama", 1234: "LM Studio", 8080: "llama.cpp", 18080: "A local model server"}
LOOK_AGAIN = 20.0

# Ranges that Python's `is_global` takes for public (3.11), though they lead inside: translations and tunnels to any
# IPv4 address, old site-local and protocol ranges, and Azure's host.
INSIDE = tuple(
    ipaddress.ip_network(text)
    for text in "::/96 64:ff9b::/96 64:ff9b:1::/48 2001::/32 2002::/16 fec0::/10 192.0.0.0/24 168.63.129.16/32".split()
)


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
    connected = set(db.session.scalars(select(Provider.base_url).where(Provider.organization_id == organization.id)))
    look: _Look = current_app.extensions.setdefault("dataelan_local_servers", _Look())
    found = look.around(current_app._get_current_object())  # type: ignore[attr-defined]
    return [server for server in found if server.url not in connected]


def connect(organization: Organization, user: User, name: str, base_url: str, secret: str = "") -> Provider:
    """Make a provider of the organization's own. Raises AddressRefused or router Failure. Commits."""
    base_url = base_url.rstrip("/")
    is_inside = check_address(base_url)
    listed = list_models("openai", base_url, secret, is_trusted=is_inside)
    provider = make_provider(organization, name, "openai", base_url, needs_key=bool(secret))
    db.session.flush()
    models = keep(provider, listed, organization.id)
    if is_inside:
        price_as_free(models)
    if secret:
        key: APIKey = seal(provider, organization, user.id, "Server key", secret)
        key.listed_models = [model.name for model in models]
    audit.record("provider.connected", provider, organization.id, base_url=base_url)
    db.session.commit()
    return provider


def make_provider(
    organization: Organization, name: str, kind: str, base_url: str, *, needs_key: bool, catalogue: str = ""
) -> Provider:
    """The organization's provider at this address, new or found again."""
    provider = db.session.scalars(
        select(Provider).where(
            Provider.organization_id == organization.id, Provider.base_url == base_url, Provider.kind == kind
        )
    ).first()
    if provider is None:
        provider = Provider(
            id=new_id(), organization_id=organization.id, slug=_slug(organization, name), kind=kind, base_url=base_url
        )
        db.session.add(provider)
    provider.name, provider.needs_key, provider.catalogue = name, needs_key, catalogue
    return provider


def price_as_free(models: list[Model]) -> None:
    """A server at a private address is one's own: its answers cost nothing per token. That is said, not assumed."""
    for model in models:
        if not model.prices:
            model.prices = [catalogue.free("a server of your own")]


def check_address(base_url: str) -> bool:
    """May a person name this address? If so: is it a private one? Raises AddressRefused."""
    is_inside = is_private(base_url)
    if is_inside and not current_app.extensions["dataelan_settings"].private_addresses:
        raise AddressRefused("Private addresses may not be used here. Ask the operator (DATAELAN_PRIVATE_ADDRESSES).")
    if not is_inside and not base_url.startswith("https:"):
        raise AddressRefused("A public address must use https, or the key would travel unprotected.")
    return is_inside


def is_private(base_url: str) -> bool:
    """Does it lead to a private address? Raises AddressRefused for what is no address, or nobody's."""
    host, port = host_of(base_url)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"No machine is known by the name {host}.") from error
    return any(not _is_public(str(entry[4][0])) for entry in found)


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


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        return _is_public(str(ip.ipv4_mapped))
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in INSIDE)


def _slug(organization: Organization, name: str) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "server"
    taken = set(db.session.scalars(select(Provider.slug).where(Provider.organization_id == organization.id)))
    return next(slug for slug in (base, *(f"{base}-{n}" for n in range(2, 1000))) if slug not in taken)


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
