"""Tell people something: notices for them, and an outbox for mail and webhooks, all in the caller's transaction.

What is told is sent only when the caller commits, and then surely: a delivery is a row that a worker sends.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import current_app
from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert

from ..models import Delivery, Notice, Organization, User, Webhook, now
from ..models.base import DbSession
from .audience import present
from .kinds import kind_of

LONGEST = 200
"""Characters of a title, and of a key."""

# Made once, and given the rows as they are asked: with the rows in it, a statement is compiled at each word.
_NOTICE = insert(Notice).on_conflict_do_nothing(index_elements=["user_id", "key"]).returning(Notice.user_id)
_TO_WEBHOOK = insert(Delivery).on_conflict_do_nothing(index_elements=["webhook_id", "key"])


@dataclass(frozen=True)
class Word:
    """What is told."""

    key: str
    kind: str
    title: str
    body: str = ""
    path: str = ""


def tell(
    session: DbSession,
    organization_id: uuid.UUID,
    user_ids: Iterable[uuid.UUID],
    key: str,
    kind: str,
    title: str,
    body: str = "",
    path: str = "",
    *,
    data: Mapping[str, Any] | None = None,
    mailed: Mapping[str, Any] | None = None,
    to_programs: bool = True,
    project_id: uuid.UUID | None = None,
) -> int:
    """A word to these people of an organization, and to its webhooks. Returns how many people had not heard it yet. Who
    has left it meanwhile hears nothing.

    `key` names what it is about: nobody, and no webhook, is told twice. `path` is where to go from here, on this site.
    `data` is for programs: what the words say, as values. `mailed`: what a letter holds beside the words (mail.letter).
    `to_programs`: no, where it is these people's alone. `project_id`: where it happened, of which no guest of another
    project hears.
    """
    if path and not re.match(r"/(?![/\\])", path):
        raise ValueError(f"{path!r} is not a path on this site")
    word = Word(key[:LONGEST], kind, " ".join(title.split())[:LONGEST], body, path)
    organization = session.get_one(Organization, organization_id)
    told = _notices(session, organization, present(session, organization_id, user_ids, project_id), word)
    if to_programs:
        _to_webhooks(session, organization, word, data or {})
    if told and current_app.extensions["dataelan_settings"].mail:
        _by_mail(session, organization, told, word, mailed or {})
    return len(told)


def in_order(payload: Mapping[str, Any]) -> dict[str, Any]:
    """As it is sent and shown: PostgreSQL keeps the names of a JSON object in an order of its own."""
    return {name: payload[name] for name in ("type", "timestamp", "data") if name in payload}


def payload(organization: Organization, word: Word, data: Mapping[str, Any]) -> dict[str, Any]:
    """What a program is told, as Standard Webhooks recommend it. See docs/notices.md."""
    return {
        "type": word.kind,
        "timestamp": now().isoformat().replace("+00:00", "Z"),
        "data": {
            "organization": {"id": str(organization.id), "slug": organization.slug, "name": organization.name},
            "title": word.title,
            "body": word.body,
            "url": current_app.extensions["dataelan_settings"].public_url + word.path if word.path else None,
            **data,
        },
    }


def _notices(
    session: DbSession, organization: Organization, user_ids: Iterable[uuid.UUID], word: Word
) -> list[uuid.UUID]:
    """Who was told now. Sorted: two who tell the same people wait for each other in one order."""
    rows = [{"organization_id": organization.id, "user_id": id, **vars(word)} for id in sorted(set(user_ids))]
    if not rows:
        return []
    return list(session.scalars(_NOTICE, rows))


def _to_webhooks(session: DbSession, organization: Organization, word: Word, data: Mapping[str, Any]) -> None:
    if not kind_of(word.kind).is_for_programs:
        return
    wants = or_(Webhook.events == [], Webhook.events.contains([word.kind]))
    is_told = Webhook.is_enabled, Webhook.deleted_at.is_(None)
    mine = select(Webhook.id).where(Webhook.organization_id == organization.id, *is_told, wants)
    said = {"organization_id": organization.id, "key": word.key, "event": word.kind}
    said["payload"] = payload(organization, word, data)
    rows = [{**said, "webhook_id": id} for id in session.scalars(mine.order_by(Webhook.id))]
    if rows:
        session.execute(_TO_WEBHOOK, rows)


def _by_mail(
    session: DbSession, organization: Organization, user_ids: list[uuid.UUID], word: Word, mailed: Mapping[str, Any]
) -> None:
    wishes = func.coalesce(User.mail_choices[word.kind].as_boolean(), kind_of(word.kind).is_mailed)
    mine = User.id.in_(user_ids), User.can_act, wishes
    people = session.execute(select(User.email, User.name).where(*mine)).all()
    said = {"organization_id": organization.id, "key": word.key, "event": word.kind}
    letter = {**mailed, "title": word.title, "body": word.body, "path": word.path}
    letter |= {"organization": organization.name, "slug": organization.slug}
    rows = [{**said, "address": person.email, "payload": {**letter, "name": person.name}} for person in people]
    if rows:
        session.execute(insert(Delivery), rows)
