"""Who calls, as this process remembers it of an earlier call, until the database has said that it is still so.

Whatever a call asks of the database first asks that with it: its begin, in the same message (executions/at_once.py), or
else the first transaction of its session (gateway/tokens.py). So nothing is read, written, answered, or sent to a
provider for who may not call any more, or by a hub that has changed since; and a plain call has one message less.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .base import as_json


@dataclass
class Caller:
    """What the database's gateway_caller says of a token's hash."""

    hash: str
    token: str | None
    """Its id; None: there is no such token, or who made it may run nothing."""
    stamp: str | None
    """Another with each change of the token's row, its project's or its organization's."""
    mode: str | None
    """Dataelan's."""
    hub: int
    """How often the hub was changed, and everyone's."""
    is_confirmed: bool = True
    """In this call."""

    def presumed(self) -> Caller:
        """The same of a later call, which is yet to be confirmed."""
        return Caller(self.hash, self.token, self.stamp, self.mode, self.hub, is_confirmed=False)

    @contextmanager
    def unasked(self) -> Iterator[None]:
        """For what sets right what was begun: whoever calls, and though nobody has said yet that they still may."""
        before, self.is_confirmed = self.is_confirmed, True
        try:
            yield
        finally:
            self.is_confirmed = before

    def as_json(self) -> str:
        said = {"hash": self.hash, "token": self.token, "stamp": self.stamp, "mode": self.mode, "hub": self.hub}
        return as_json(said)


class Usable:
    """What follows from the columns of a gateway token: a mixin for its row in any form."""

    if TYPE_CHECKING:
        allows: list[Any]
        expires_at: datetime | None
        revoked_at: datetime | None

    def is_valid(self, at: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > at)

    def may_ask(self, requested: str) -> bool:
        return not self.allows or requested in self.allows


class Changed(Exception):
    """A caller is not who was remembered. Nothing was written or sent: what it asks begins anew, with who it is now."""
