from __future__ import annotations

from ..organizations.blueprint import inside_organization

bp = inside_organization("projects", __name__)
