"""Servers of one's own: found on this machine, or named by address."""

from __future__ import annotations

import ipaddress
import re
import socket
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
    return [server for server in _answering() if server.url not in connected]


def connect(organization: Organization, user: User, name: str, base_url: str, secret: str = "") -> Provider:
    """Make a provider of the organization's own. Raises AddressRefused or router Failure. Commits."""
    base_url = base_url.rstrip("/")
    is_private = check_address(base_url)
    listed = list_models("openai", base_url, secret)
    provider = make_provider(organization, name, "openai", base_url, needs_key=bool(secret))
    db.session.flush()
    models = keep(provider, listed, organization.id)
    if is_private:
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


def check_address(base_url: str, *, by_operator: bool = False) -> bool:
    """Is it a private address? An operator may name any.

    Raises AddressRefused for what is no http address, and for a private one where that is not allowed."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise AddressRefused("Enter an address such as https://models.example.com/v1, without a user name.")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"No machine is known by the name {parts.hostname}.") from error
    is_private = any(not ipaddress.ip_address(entry[4][0]).is_global for entry in found)
    if by_operator:
        return is_private
    if is_private and not current_app.extensions["dataelan_settings"].private_addresses:
        raise AddressRefused("Private addresses may not be used here. Ask the operator (DATAELAN_PRIVATE_ADDRESSES).")
    if not is_private and parts.scheme == "http":
        raise AddressRefused("A public address must use https, or the key would travel unprotected.")
    return is_private


def _slug(organization: Organization, name: str) -> str:
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "server"
    taken = set(db.session.scalars(select(Provider.slug).where(Provider.organization_id == organization.id)))
    return next(slug for slug in (base, *(f"{base}-{n}" for n in range(2, 1000))) if slug not in taken)


_seen: tuple[float, list[Found]] = (0.0, [])


def _answering() -> list[Found]:
    """Which of the usual local addresses answer now. Kept for a moment: a page must not wait for it each time."""
    global _seen
    if time.monotonic() - _seen[0] > LOOK_AGAIN or not _seen[0]:
        urls = current_app.extensions["dataelan_settings"].local_servers
        app = current_app._get_current_object()  # type: ignore[attr-defined]
        with ThreadPoolExecutor(max(len(urls), 1)) as pool:
            _seen = (time.monotonic(), [found for found in pool.map(lambda url: _probe(app, url), urls) if found])
    return _seen[1]


def _probe(app: Flask, url: str) -> Found | None:
    with app.app_context():
        try:
            listed = list_models("openai", url, "", seconds=0.5)
        except Failure:
            return None
    if not listed:
        return None
    return Found(NAMES.get(urlsplit(url).port or 0, "A model server"), url, len(listed))
