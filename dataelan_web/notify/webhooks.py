"""An organization's webhooks: made, changed, rotated, switched and deleted. Every verb commits and is audited.

A secret is made here, returned once, and kept sealed for its row and the origin it signs for.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update

from .. import audit
from ..extensions import db
from ..models import Delivery, DeliveryState, Organization, Webhook, new_id, now
from ..secrets import Place, Unreadable, keyring
from .posting import check_address, origin_of
from .signing import new_secret

OVERLAP = timedelta(hours=24)
"""How long the secret before signs too after a rotation."""
MOST = 50
"""Of one organization: each hears every word."""
SWITCHED_OFF = "The webhook was switched off before it was sent."
DELETED = "The webhook was deleted before it was sent."


class TooMany(Exception):
    """There is no room for another webhook; the message says so."""


def create(
    organization: Organization, user_id: uuid.UUID | None, label: str, url: str, events: list[str]
) -> tuple[Webhook, str]:
    """A new webhook and its secret, which is never to be seen again. `events` empty: all. Raises AddressRefused or
    TooMany."""
    living = Webhook.organization_id == organization.id, Webhook.deleted_at.is_(None)
    if (db.session.scalar(select(func.count()).where(*living)) or 0) >= MOST:
        raise TooMany(f"An organization can have {MOST} webhooks. Delete one that is not needed any more.")
    check_address(url)
    webhook = Webhook(
        id=new_id(), organization_id=organization.id, label=label, url=url, events=events, created_by=user_id
    )
    secret = _new_secret(webhook)
    db.session.add(webhook)
    audit.record("webhook.created", webhook, origin=origin_of(url), events=events)
    db.session.commit()
    return webhook, secret


def change(webhook: Webhook, label: str, url: str, events: list[str]) -> str | None:
    """Another origin is another receiver, who gets a secret of its own: it is returned. Raises AddressRefused."""
    before, secret = (webhook.label, webhook.url, webhook.events), None
    if url != webhook.url:
        check_address(url)
        moves = origin_of(url) != origin_of(webhook.url)
        webhook.url = url
        secret = _new_secret(webhook) if moves else None
    webhook.label, webhook.events = label, events
    if before != (label, url, events):
        told: dict[str, Any] = {"label": before[0], "origin": origin_of(before[1]), "events": before[2]}
        after: dict[str, Any] = {
            "label": label,
            "origin": origin_of(url),
            "events": events,
            "has_new_secret": bool(secret),
        }
        audit.record("webhook.changed", webhook, before=told, **after)
    db.session.commit()
    return secret


def rotate(webhook: Webhook) -> str:
    """A new secret; the one before signs too for a day, so that the receiver has time to change it. One that cannot
    be read any more is replaced."""
    try:
        kept = keyring().decrypt(webhook.ciphertext, place_of(webhook))
    except Unreadable:
        kept = ""
    secret = _new_secret(webhook)
    if kept:
        webhook.previous_ciphertext = keyring().encrypt(kept, previous_place_of(webhook))
        webhook.rotated_at = now()
    audit.record("webhook.rotated", webhook)
    db.session.commit()
    return secret


def set_enabled(webhook: Webhook, is_enabled: bool, why: str = "") -> None:
    """Switched off, it is told nothing, and what still waits for it is not sent."""
    if webhook.is_enabled != is_enabled:
        webhook.is_enabled = is_enabled
        detail = {"why": why} if why else {}
        audit.record("webhook.enabled" if is_enabled else "webhook.disabled", webhook, None, **detail)
    if not is_enabled:
        _give_up_what_waits(webhook, SWITCHED_OFF)
    db.session.commit()


def delete(webhook: Webhook, by: uuid.UUID | None = None) -> None:
    """Into the trash, with all its deliveries: it is told nothing, and what still waits for it is not sent."""
    audit.record("webhook.deleted", webhook, origin=origin_of(webhook.url))
    webhook.discard(by)
    _give_up_what_waits(webhook, DELETED)
    db.session.commit()


def _give_up_what_waits(webhook: Webhook, why: str) -> None:
    waiting = (Delivery.webhook_id == webhook.id, Delivery.state == DeliveryState.WAITING)
    db.session.execute(update(Delivery).where(*waiting).values(state=DeliveryState.FAILED, error=why))


def secrets_of(webhook: Webhook) -> list[str]:
    """What its messages are signed with: the newest first. Raises Unreadable."""
    found = [keyring().decrypt(webhook.ciphertext, place_of(webhook))]
    if overlap_ends_at(webhook):
        found.append(keyring().decrypt(webhook.previous_ciphertext, previous_place_of(webhook)))
    return found


def overlap_ends_at(webhook: Webhook) -> datetime | None:
    """Until when the secret before signs too; None: it does not."""
    if not webhook.previous_ciphertext or webhook.rotated_at is None:
        return None
    ends_at = webhook.rotated_at + OVERLAP
    return ends_at if now() < ends_at else None


def place_of(webhook: Webhook) -> Place:
    return Place(webhook.organization_id, webhook.id, "webhook.ciphertext", origin_of(webhook.url))


def previous_place_of(webhook: Webhook) -> Place:
    return Place(webhook.organization_id, webhook.id, "webhook.previous_ciphertext", origin_of(webhook.url))


def _new_secret(webhook: Webhook) -> str:
    secret = new_secret()
    webhook.ciphertext = keyring().encrypt(secret, place_of(webhook))
    webhook.previous_ciphertext, webhook.rotated_at = "", None
    return secret
