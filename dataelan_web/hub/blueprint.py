"""The Model Hub's address space: `/o/<slug>/hub/…`. Each kind of page registers itself here."""

from __future__ import annotations

import uuid

from flask import abort

from ..organizations.blueprint import inside_organization

bp = inside_organization("hub", __name__)


def id_in(text: str | None) -> uuid.UUID:
    """The id in a form's field; 404 for what is none."""
    try:
        return uuid.UUID(text or "")
    except ValueError:
        abort(404)
