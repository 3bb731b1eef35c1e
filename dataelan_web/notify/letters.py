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
    sealed = {"name": "", "sealed_path": keyring().encrypt(path, _place(organization_id, id))}
    row = {"id": id, "organization_id": organization_id, "address": address, "key": f"{event}:{id}"}
    db.session.add(Delivery(**row, event=event, payload=said | sealed))


def opened(delivery: Delivery) -> Mapping[str, Any]:
    """What mail.letter needs. Raises Unreadable."""
    said = delivery.payload
    if "sealed_path" not in said:
        return said
    return {**said, "path": keyring().decrypt(said["sealed_path"], _place(delivery.organization_id, delivery.id))}


def _place(organization_id: Any, id: Any) -> Place:
    return Place(organization_id, id, "delivery.sealed_path", "")
