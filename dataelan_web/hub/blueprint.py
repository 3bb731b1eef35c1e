"""The hub's address spaces: an organization's under `/o/<slug>/hub/…`, and of what is everybody's the operator's, under
`/admin/hub/…`. Each kind of page registers itself here; keys and rules in both. Whose they are is in `place`."""

from __future__ import annotations

from flask import url_for

from .. import place
from ..accounts.superusers import for_superusers
from ..fields import id_in
from ..organizations.blueprint import inside_organization

bp = inside_organization("hub", __name__)
operators_bp = for_superusers("admin_hub", __name__)


def url(name: str, **values: object) -> str:
    """Of a page of the hub that is here as there."""
    return place.url("hub", name, **values)


def providers_crumb() -> tuple[str, str]:
    """The way to a provider's page leads by this."""
    if place.is_operators():
        return "Providers and keys", url_for("admin.show_platform")
    return "Model Hub", url_for("hub.providers")


__all__ = ["bp", "id_in", "operators_bp", "providers_crumb", "url"]
