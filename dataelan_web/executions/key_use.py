"""A provider's key while a call uses it: opened for that call, and told what came of it."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from sqlalchemy import func, update

from ..extensions import db
from ..models import APIKey
from ..models.hub import ENTER_AGAIN
from ..router.types import Failure, Kind
from ..secrets import Unreadable
from . import remembered
from .remembered import Sealed


class KeyUse(NamedTuple):
    id: uuid.UUID | None = None
    """None: the provider asks for no key."""
    secret: str = ""
    is_stale: bool = False
    """A success is news: it was not used for a minute, or failed the last time."""

    @classmethod
    def of(cls, id: uuid.UUID | None, row: Any) -> KeyUse:
        """Of a key as the journal read it, or as it is remembered. Raises Failure when it cannot be used."""
        if id is None:
            return cls()
        try:
            sealed = row if isinstance(row, Sealed) else _sealed(id, row)
            return cls(id, sealed.envelope.open(), sealed.is_stale)
        except Unreadable as error:
            called = f"The key “{row.label}”" if row.organization_id else "The platform’s key"
            message = f"{called} cannot be read ({error}). Enter it again in the Model Hub."
            raise Failure(Kind.CREDENTIAL, message, sent=False) from error

    def note(self, failure: Failure | None, here: uuid.UUID) -> None:
        """The key's health: its last use (to the minute) and what last went wrong with it, in this organization. That
        its provider moved meanwhile, so that it must be entered again, stays."""
        values: dict[str, Any] = {}
        if failure is None and self.is_stale:
            values = {"last_used_at": func.now(), "last_error": "", "last_error_kind": ""}
        elif failure and failure.kind in (Kind.CREDENTIAL, Kind.BILLING, Kind.RATE_LIMIT):
            values = {
                "last_error": failure.message,
                "last_error_kind": failure.kind.value,
                "last_error_at": func.now(),
            }
            remembered.keys().forget((here, self.id))  # for the next success to be noted
        if values and self.id:
            changed = update(APIKey).where(APIKey.id == self.id, APIKey.last_error != ENTER_AGAIN).values(**values)
            db.session.execute(changed.execution_options(synchronize_session=False))


def _sealed(id: uuid.UUID, row: Any) -> Sealed:
    """Raises Failure or Unreadable."""
    if row is None or row.ciphertext is None:
        raise Failure(Kind.CREDENTIAL, "The key was deleted meanwhile.", sent=False)
    return Sealed.of(id, row)
