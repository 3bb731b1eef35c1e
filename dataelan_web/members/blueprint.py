from __future__ import annotations

from ..organizations.blueprint import inside_organization

bp = inside_organization("members", __name__)
