"""What happened, on the charts: incidents, deploys and changes of price that people wrote down, and those of the price
book by themselves. A line on every chart over the time shown, and a list of them beneath. For members; not for guests,
since what happens in an organization is more than one project."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import g, url_for
from flask_login import current_user
from sqlalchemy.orm import joinedload

from .. import access, audit
from ..extensions import db
from ..models import Annotation, Happening
from . import figures
from .ranges import Range

MOST = 50
"""Notes that are shown of one time: the latest."""
DRAWN = 20
PAGES = ("overview", "spend", "performance", "routing", "mine")
"""Those with charts over the time shown."""
KINDS = {
    Happening.INCIDENT: ("Incident", "triangle-alert", "danger"),
    Happening.DEPLOY: ("Deploy", "upload", "accent"),
    Happening.PRICE: ("Price", "tag", "warn"),
    Happening.OTHER: ("Note", "pencil", "neutral"),
}
"""What each is called, its icon and its tone."""


@dataclass(frozen=True)
class Note:
    at: datetime
    kind: Happening
    text: str
    by: str
    url: str = ""
    """Where it is changed; or, of the price book, where the prices stand."""
    id: uuid.UUID | None = None
    """None: it is from the price book."""

    @property
    def shown_as(self) -> tuple[str, str, str]:
        return KINDS[self.kind]


def beneath(page: str, over: Range, panels: Sequence[Any], priced: Sequence[Note] = ()) -> dict[str, Any]:
    """Draws them on the panels' charts; and the list beneath. `priced`: those of the price book."""
    if page not in PAGES or g.role is None:
        return {}
    found = sorted([*written(over), *priced], key=lambda note: note.at)[-MOST:]
    for panel in panels:
        if panel.figure:
            figures.mark(panel.figure, over, [(note.at, note.text) for note in found[-DRAWN:]])
    return {"notes": found[::-1], "can_note": access.may(access.EDIT)}


def written(over: Range) -> list[Note]:
    during = access.scoped(Annotation).where(Annotation.at >= over.start, Annotation.at < over.end)
    latest = during.options(joinedload(Annotation.author)).order_by(Annotation.at.desc()).limit(MOST)
    return [
        Note(
            row.at.astimezone(over.zone),
            row.kind,
            row.text,
            row.author.name if row.author else "Somebody who has left",
            url_for("dashboards.show_note", id=row.id),
            row.id,
        )
        for row in db.session.scalars(latest)
    ]


def write(at: datetime, kind: Happening, text: str) -> Annotation:
    """Commits."""
    note = Annotation(organization_id=g.organization.id, user_id=current_user.id, at=at, kind=kind, text=text)
    db.session.add(note)
    db.session.flush()
    _record("note.written", note)
    db.session.commit()
    return note


def change(note: Annotation, at: datetime, kind: Happening, text: str) -> None:
    """Commits."""
    note.at, note.kind, note.text = at, kind, text
    _record("note.changed", note)
    db.session.commit()


def delete(note: Annotation) -> None:
    """Into the trash. Commits."""
    _record("note.deleted", note)
    note.discard(current_user.id)
    db.session.commit()


def _record(action: str, note: Annotation) -> None:
    audit.record(action, note, at=note.at.isoformat(), kind=note.kind.value, text=note.text)
