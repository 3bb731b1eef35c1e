"""What is summed by what. Few dimensions make few rows, so a year is read from a cut that has no more than is asked
for; what any filter asks for is in FULL."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

from ..models.rollups import DIMENSIONS


class Cut(IntEnum):
    FULL = 0
    MODELS = 1
    PROJECTS = 2
    MEMBERS = 3
    KEYS = 4


_ALWAYS = {"payer", "model_type", "origin", "outcome"}
HOLDS: dict[Cut, frozenset[str]] = {
    Cut.MODELS: frozenset(_ALWAYS | {"provider_id", "model_id", "error"}),
    Cut.KEYS: frozenset(_ALWAYS | {"provider_id", "api_key_id"}),
    Cut.MEMBERS: frozenset(_ALWAYS | {"project_id", "user_id"}),
    Cut.PROJECTS: frozenset(_ALWAYS | {"provider_id", "model_id", "error", "project_id"}),
    Cut.FULL: frozenset(DIMENSIONS),
}
"""Cut → its dimensions; the small ones first."""


def smallest(needed: Collection[str]) -> Cut:
    return next(cut for cut, dimensions in HOLDS.items() if dimensions.issuperset(needed))
