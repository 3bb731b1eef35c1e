"""What became of an import, entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from sqlalchemy.exc import IntegrityError

from ...extensions import db
from ..providers.servers import AddressRefused
from ..rules.drafts import Refused

What = Literal["made", "changed", "kept", "left"]
Entry = TypeVar("Entry")


class NotTaken(Exception):
    """An entry cannot be taken; the message says why."""


@dataclass(frozen=True)
class Line:
    """What became of one entry."""

    what: What
    subject: str
    why: str = ""


@dataclass
class Report:
    lines: list[Line] = field(default_factory=list)

    def of(self, what: What) -> list[Line]:
        return [line for line in self.lines if line.what == what]

    def left(self, subject: str, why: str) -> None:
        self.lines.append(Line("left", subject, why))

    def each(
        self, entries: Iterable[Entry], name: Callable[[Entry], str], take: Callable[[Entry], What]
    ) -> list[Entry]:
        """Take what can be taken, and return it. An entry that cannot is told, and leaves nothing half-done."""
        taken = []
        for entry in entries:
            try:
                with db.session.begin_nested():
                    self.lines.append(Line(take(entry), name(entry)))
                taken.append(entry)
            except (NotTaken, AddressRefused, Refused) as refusal:
                self.left(name(entry), str(refusal))
            except IntegrityError:
                self.left(name(entry), "it was changed by somebody else just now; import it again")
        return taken
