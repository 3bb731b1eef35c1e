"""The address space of prompts. Each kind of page registers itself here."""

from __future__ import annotations

from ..organizations.blueprint import inside_organization

bp = inside_organization("prompts", __name__)
