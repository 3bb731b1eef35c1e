"""The address space of batches. Each kind of page registers itself here."""

from __future__ import annotations

from ..organizations.blueprint import inside_organization

bp = inside_organization("batches", __name__)
