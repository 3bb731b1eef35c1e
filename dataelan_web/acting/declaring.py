"""A project's declared actions: made, changed, switched and their secrets rotated. Every verb commits and is audited.

A change makes a version; what was called before keeps its own. A secret is made here, returned once, and kept sealed
for one receiver: another origin is another receiver (as notify/webhooks.py has it).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from .. import audit
from ..extensions import db
from ..models import ActionReceiver, ActionVersion, Approval, DeclaredAction, Project, new_id, now
from ..notify.posting import check_address, origin_of
from ..notify.signing import new_secret
from ..notify.webhooks import OVERLAP
from ..secrets import Place, Unreadable, keyring

MOST = 32
"""Actions of one project: each is offered with every prompt, and is paid for with every prompt."""
MOST_REPAIRS = 3


class Refused(Exception):
    """It cannot be declared so; the message says why. `field`: of the form."""

    def __init__(self, field: str, message: str):
        self.field = field
        super().__init__(message)


@dataclass(frozen=True)
class Draft:
    name: str
    description: str
    schema: dict[str, Any]
    sample: dict[str, Any]
    url: str
    approval: Approval
    most_repairs: int


def create(project: Project, draft: Draft, user_id: uuid.UUID | None) -> tuple[DeclaredAction, str | None]:
    """A new action, switched on, and the secret of its receiver. Raises Refused and posting.AddressRefused."""
    if draft.url:
        check_address(draft.url)
    _one_at_a_time(project.id)
    mine = select(func.count()).where(DeclaredAction.project_id == project.id)
    if (db.session.scalar(mine.where(DeclaredAction.deleted_at.is_(None))) or 0) >= MOST:
        raise Refused("name", f"A project can have {MOST} actions. Delete one that is not needed any more.")
    _check_name(project.id, draft.name, None)
    action = DeclaredAction(id=new_id(), project_id=project.id, name=draft.name, created_by=user_id)
    db.session.add(action)
    db.session.flush()
    secret = _add_version(project.organization_id, action, draft, user_id, None)
    audit.record("action.declared", action, project.organization_id, **_told(draft))
    db.session.commit()
    return action, secret


def change(action: DeclaredAction, draft: Draft, user_id: uuid.UUID | None) -> str | None:
    """Another version, if anything is other than before. A secret where there is another receiver. Raises as create."""
    if draft.url and draft.url != action.version.url:
        check_address(draft.url)
    _one_at_a_time(action.project_id)
    db.session.refresh(action)
    before = action.version
    if draft == draft_of(before):
        return None
    _check_name(action.project_id, draft.name, action.id)
    action.number, action.name = action.number + 1, draft.name
    organization_id = action.project.organization_id
    secret = _add_version(organization_id, action, draft, user_id, before)
    audit.record("action.changed", action, organization_id, version=action.number, **_told(draft))
    db.session.commit()
    db.session.refresh(action)
    return secret


def set_enabled(action: DeclaredAction, is_enabled: bool) -> None:
    """Switched off, it is offered to no model, and what was called of it acts only when a person agrees."""
    if action.is_enabled != is_enabled:
        action.is_enabled = is_enabled
        word = "action.enabled" if is_enabled else "action.disabled"
        audit.record(word, action, action.project.organization_id)
    db.session.commit()


def rotate(action: DeclaredAction) -> str | None:
    """A new secret; the one before signs too for a day. None: nothing is delivered."""
    receiver = action.version.receiver
    if receiver is None:
        return None
    try:
        kept = keyring().decrypt(receiver.ciphertext, place_of(receiver))
    except Unreadable:
        kept = ""
    secret = _new_secret(receiver)
    if kept:
        receiver.previous_ciphertext = keyring().encrypt(kept, previous_place_of(receiver))
        receiver.rotated_at = now()
    audit.record("action.secret_rotated", action, receiver.organization_id)
    db.session.commit()
    return secret


def secrets_of(receiver: ActionReceiver) -> list[str]:
    """What its messages are signed with: the newest first. Raises Unreadable."""
    found = [keyring().decrypt(receiver.ciphertext, place_of(receiver))]
    if overlap_ends_at(receiver):
        found.append(keyring().decrypt(receiver.previous_ciphertext, previous_place_of(receiver)))
    return found


def overlap_ends_at(receiver: ActionReceiver) -> datetime | None:
    """Until when the secret before signs too; None: it does not."""
    if not receiver.previous_ciphertext or receiver.rotated_at is None:
        return None
    ends_at = receiver.rotated_at + OVERLAP
    return ends_at if now() < ends_at else None


def draft_of(version: ActionVersion) -> Draft:
    return Draft(
        version.name,
        version.description,
        version.schema,
        version.sample,
        version.url,
        version.approval,
        version.most_repairs,
    )


def place_of(receiver: ActionReceiver) -> Place:
    return Place(receiver.organization_id, receiver.id, "action_receiver.ciphertext", receiver.origin)


def previous_place_of(receiver: ActionReceiver) -> Place:
    return Place(receiver.organization_id, receiver.id, "action_receiver.previous_ciphertext", receiver.origin)


def _one_at_a_time(project_id: uuid.UUID) -> None:
    """From here to the commit: of two who write at once, the second sees the name, or the version, of the first."""
    db.session.execute(select(Project.id).where(Project.id == project_id).with_for_update(key_share=True))


def _check_name(project_id: uuid.UUID, name: str, but: uuid.UUID | None) -> None:
    same = select(DeclaredAction).where(DeclaredAction.project_id == project_id, DeclaredAction.name == name)
    other = db.session.scalars(same.where(DeclaredAction.id != but) if but else same).first()
    if other is not None:
        where = "in the trash: bring it back, or choose another name" if other.deleted_at else "declared already"
        raise Refused("name", f"“{name}” is {where}.")


def _add_version(
    organization_id: uuid.UUID,
    action: DeclaredAction,
    draft: Draft,
    user_id: uuid.UUID | None,
    before: ActionVersion | None,
) -> str | None:
    """The secret of a receiver that is new."""
    receiver, secret = before.receiver if before else None, None
    if not draft.url:
        receiver = None
    elif receiver is None or receiver.origin != origin_of(draft.url):
        receiver = ActionReceiver(id=new_id(), action_id=action.id, organization_id=organization_id)
        receiver.origin = origin_of(draft.url)
        secret = _new_secret(receiver)
        db.session.add(receiver)
        db.session.flush()
    version = ActionVersion(action_id=action.id, number=action.number, created_by=user_id, **vars(draft))
    version.receiver_id = receiver.id if receiver else None
    db.session.add(version)
    return secret


def _new_secret(receiver: ActionReceiver) -> str:
    secret = new_secret()
    receiver.ciphertext = keyring().encrypt(secret, place_of(receiver))
    receiver.previous_ciphertext, receiver.rotated_at = "", None
    return secret


def _told(draft: Draft) -> dict[str, Any]:
    """Of a draft, for the audit log."""
    receiver = {"origin": origin_of(draft.url)} if draft.url else {}
    return {"approval": draft.approval.value, "repairs": draft.most_repairs, **receiver}
