"""The address space of limits: `/o/<slug>/limits/…`. Each kind of page registers itself here."""

from __future__ import annotations

from ..organizations.blueprint import inside_organization

bp = inside_organization("limits", __name__)
