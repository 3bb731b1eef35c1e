"""The address space of what people say of runs, and of how runs go to others. Each kind of page adds itself."""

from __future__ import annotations

from ..organizations.blueprint import inside_organization

bp = inside_organization("sharing", __name__)
