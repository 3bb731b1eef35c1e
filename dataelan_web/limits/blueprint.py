"""The address spaces of limits: an organization's under `/o/<slug>/limits/…`, the operator's under `/admin/limits/…`.

Most pages are the same for both, and register themselves in both. Whose limits they are about is in `place`.
"""

from __future__ import annotations

from ..accounts.superusers import for_superusers
from ..organizations.blueprint import inside_organization

bp = inside_organization("limits", __name__)
operators_bp = for_superusers("admin_limits", __name__)
