"""A message could not be delivered: who runs the organization is told, once until something is delivered again."""

from __future__ import annotations

import uuid

from sqlalchemy import select

from ..models import Delivery, DeliveryState, Organization, Webhook
from ..models.base import DbSession
from . import webhooks
from .audience import administrators
from .letters import INVITATION
from .result import Result
from .tell import tell

TEST = "webhook.test"
"""The event of a test: whoever sends one sees what comes of it."""


def given_up(session: DbSession, delivery: Delivery, result: Result) -> None:
    """The caller commits."""
    webhook = session.get(Webhook, delivery.webhook_id) if delivery.webhook_id else None
    if webhook is None:
        return _mail_failed(session, delivery, result)
    was_told = webhook.is_told
    if result.is_gone:
        webhooks.set_enabled(webhook, False, why="410 Gone")
    if was_told and delivery.event != TEST:
        _webhook_failed(session, delivery, webhook, result)
    return None


def _webhook_failed(session: DbSession, delivery: Delivery, webhook: Webhook, result: Result) -> None:
    switched_off = " It is switched off now." if result.is_gone else ""
    slug = session.get_one(Organization, webhook.organization_id).slug
    tell(
        session,
        webhook.organization_id,
        administrators(session, webhook.organization_id),
        f"webhook.failed:{webhook.id}:{_last_success(session, Delivery.webhook_id == webhook.id)}",
        "webhook.failed",
        f"The webhook “{webhook.label[:100]}” does not take what it is told",
        f"A message was given up ({_tries(delivery)}). {result.error}{switched_off}",
        f"/o/{slug}/webhooks/{webhook.id}",
    )


def _mail_failed(session: DbSession, delivery: Delivery, result: Result) -> None:
    if delivery.organization_id is None:
        return  # of somebody's account: it is nobody else's, and they have no other mailbox
    here = (Delivery.organization_id == delivery.organization_id, Delivery.address == delivery.address)
    what, instead = "A notice", "It can still be read in Dataelan."
    if delivery.event == INVITATION:
        what, instead = "An invitation", "Make its link anew, and hand it over yourself."
    tell(
        session,
        delivery.organization_id,
        administrators(session, delivery.organization_id),
        f"mail.failed:{delivery.address[:100]}:{_last_success(session, *here)}",
        "mail.failed",
        f"Mail to {delivery.address[:120]} is not delivered",
        f"{what} was given up ({_tries(delivery)}). {result.error} {instead}",
    )


def _tries(delivery: Delivery) -> str:
    return "1 try" if delivery.tries == 1 else f"{delivery.tries} tries"


def _last_success(session: DbSession, *mine: object) -> uuid.UUID | None:
    return session.scalar(
        select(Delivery.id)
        .where(*mine, Delivery.state == DeliveryState.DELIVERED)  # type: ignore[arg-type]
        .order_by(Delivery.id.desc())
        .limit(1)
    )
