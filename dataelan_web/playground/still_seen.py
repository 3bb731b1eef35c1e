"""Does whoever watches an answer still see it? Asked now and then while it is written, which may take hours: who was
signed out, switched off or removed meanwhile reads on no longer than that."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress

from flask import g, session
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from .. import access
from ..accounts import signing_in
from ..extensions import db
from ..models import Base

EVERY = 10.0
"""Seconds between two questions."""


def while_seen(events: Iterator[str], model: type[Base], id: uuid.UUID) -> Iterator[str]:
    """Ends without a word where they see it no more: a browser that comes back is told so."""
    asked = time.monotonic()
    for said in events:
        if time.monotonic() - asked > EVERY:
            if not _is_seen(model, id):
                return
            asked = time.monotonic()
        yield said


def _is_seen(model: type[Base], id: uuid.UUID) -> bool:
    """By the same questions as a page. While the database is away, as it was."""
    watches = current_user.id
    try:
        found = signing_in.load(str(session.get("_user_id", "")))
        if found is None or found.id != watches:
            return False
        organization = access.enter_organization(g.slug, stays=True)
        access.visible(model, id)
        return organization.suspended_at is None and organization.deleted_at is None and access.opens(organization)
    except (HTTPException, access.InTrash):
        return False
    except SQLAlchemyError:
        return True
    finally:
        with suppress(SQLAlchemyError):
            db.session.rollback()
