"""The address space of what superusers look after: `/admin/…`. Each kind of page registers itself here."""

from __future__ import annotations

from ..accounts.superusers import for_superusers

bp = for_superusers("admin", __name__)
