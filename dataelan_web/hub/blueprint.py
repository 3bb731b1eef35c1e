"""The Model Hub's address space: `/o/<slug>/hub/…`. Each kind of page registers itself here."""

from __future__ import annotations

from ..fields import id_in
from ..organizations.blueprint import inside_organization

bp = inside_organization("hub", __name__)

__all__ = ["bp", "id_in"]
