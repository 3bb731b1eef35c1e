"""The address space of declared actions and their calls. Each kind of page registers itself here."""

from __future__ import annotations

from ..organizations.blueprint import inside_organization

bp = inside_organization("actions", __name__)
