"""The playground's address space: sessions, their runs and their files. Each kind of page registers itself here."""

from __future__ import annotations

from ..organizations.blueprint import inside_organization

bp = inside_organization("playground", __name__)
