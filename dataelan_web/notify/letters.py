"""Letters to people who may have no account yet, such as an invitation: in the outbox, with their link sealed.

The link is a way in, so the row that waits to be sent keeps it as a provider's key is kept (secrets.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from ..extensions import db
from ..models import Delivery, Organization, new_id
from ..secrets import Place, keyring

INVITATION, ACCOUNT = "invitation", "account"
SEALED = "sealed_path"
"""Where the link is, in what a letter says."""
WHY = "You get this mail because somebody typed your address on Dataelan. If you did not expect it, ignore it."
TOLD = "You get this mail because it is about your account on Dataelan."


def write(organization: Organization, address: str, title: str, body: str, path: str) -> None:
    """To be sent when the caller commits. `path` is on this site, and secret."""
    said = {"title": title[:200], "body": body, "organization": organization.name, "slug": organization.slug}
    _post(organization.id, address, INVITATION, {**said, "why": WHY}, path)


def about_account(address: str, title: str, body: str, path: str, *, is_secret: bool = False) -> None:
    """Of somebody's account, to be sent when the caller commits; whoever reads it may be somebody else, if the path is
    secret."""
    said = {"title": title, "body": body, "organization": "", "slug": "", "why": WHY if is_secret else TOLD}
    _post(None, address, ACCOUNT, said, path)


def _post(organization_id: uuid.UUID | None, address: str, event: str, said: dict[str, str], path: str) -> None:
    id = new_id()
    row = {"id": id, "organization_id": organization_id, "address": address, "key": f"{event}:{id}"}
    letter = Delivery(**row, event=event)
    letter.payload = said | {"name": "", SEALED: keyring().encrypt(path, place_of(letter))}
    db.session.add(letter)


def opened(delivery: Delivery) -> Mapping[str, Any]:
    """What mail.letter needs. Raises Unreadable."""
    said = delivery.payload
    return {**said, "path": keyring().decrypt(said[SEALED], place_of(delivery))} if SEALED in said else said


def place_of(delivery: Delivery) -> Place:
    return Place(delivery.organization_id, delivery.id, "delivery.sealed_path", "")
