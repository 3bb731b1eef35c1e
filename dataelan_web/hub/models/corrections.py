"""What an organization says itself of everyone's models: what they can do and hold. For itself alone, and undone at
once. Its rules, composers, programs and pages go by it; nobody else sees it, and prices are no part of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from ... import audit
from ...extensions import db
from ...models import Correction, Model, Organization
from .purpose import CAPABILITIES

FACTS = ("capabilities", "context_window", "max_output_tokens")


def of(model: Model, organization: Organization) -> Correction | None:
    its = (Correction.model_id == model.id, Correction.organization_id == organization.id)
    return db.session.scalars(select(Correction).where(*its)).first()


def correct(model: Model, organization: Organization, user_id: uuid.UUID | None, facts: Mapping[str, Any]) -> bool:
    """Say these of one of everyone's models; what is the catalogue's word, or None, is not said. False: nothing has
    changed. Commits."""
    is_changed = put(model, organization, user_id, facts)
    db.session.commit()
    return is_changed


def put(model: Model, organization: Organization, user_id: uuid.UUID | None, facts: Mapping[str, Any]) -> bool:
    """Like `correct`, within a transaction of the caller's."""
    _one_at_a_time(model)
    row = of(model, organization)
    before = said(row)
    after = {name: facts.get(name) for name in FACTS if not _is_catalogues(model, name, facts.get(name))}
    if before == after:
        return False
    if not after:
        db.session.delete(row)
    else:
        row = row or Correction(model_id=model.id, organization_id=organization.id)
        for name in FACTS:
            setattr(row, name, after.get(name))
        row.created_by = user_id
        db.session.add(row)
    action = "model.corrected" if after else "model.correction_undone"
    audit.record(action, model, organization.id, before=before, **after)
    return True


def undo(model: Model, organization: Organization) -> bool:
    """The catalogue's word counts again. False: it did. Commits."""
    return correct(model, organization, None, {})


def said(row: Correction | None) -> dict[str, Any]:
    """Of FACTS, those that it says."""
    return {name: value for name in FACTS if row and (value := getattr(row, name)) is not None}


def _is_catalogues(model: Model, name: str, value: Any) -> bool:
    """Is it what the catalogue says, as far as people choose by it? Nothing said is."""
    known = getattr(model, name)
    if name == "capabilities" and value is not None:
        return set(value) == set(known) & set(CAPABILITIES)
    return value is None or value == known


def _one_at_a_time(model: Model) -> None:
    """Two that are said of one model at the same moment must see each other."""
    db.session.execute(select(Model.id).where(Model.id == model.id).with_for_update(key_share=True))
