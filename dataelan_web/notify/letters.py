"""Letters to people who may have no account yet, such as an invitation: in the outbox, with their link sealed.

The link is a way in, so the row that waits to be sent keeps it as a provider's key is kept (secrets.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..extensions import db
from ..models import Delivery, Organization, new_id
from ..secrets import Place, keyring

INVITATION = "invitation"
WHY = "You get this mail because somebody typed your address on Dataelan. If you did not expect it, ignore it."


def write(organization: Organization, address: str, title: str, body: str, path: str) -> None:
    """To be sent when the caller commits. `path` is on this site, and secret."""
    id = new_id()
    said = {"title": title[:200], "body": body, "organization": organization.name, "slug": organization.slug}
    said |= {"name": "", "why": WHY, "sealed_path": keyring().encrypt(path, _place(organization.id, id))}
    row = {"id": id, "organization_id": organization.id, "address": address, "key": f"{INVITATION}:{id}"}
    db.session.add(Delivery(**row, event=INVITATION, payload=said))


def opened(delivery: Delivery) -> Mapping[str, Any]:
    """What mail.letter needs. Raises Unreadable."""
    said = delivery.payload
    if "sealed_path" not in said:
        return said
    return {**said, "path": keyring().decrypt(said["sealed_path"], _place(delivery.organization_id, delivery.id))}


def _place(organization_id: Any, id: Any) -> Place:
    return Place(organization_id, id, "delivery.sealed_path", "")
