"""What is summed by what, and for how long each length of bucket is kept. Few dimensions make few rows, so a year is
read from a cut that has no more than is asked for; what any filter asks for is in FULL, or TAGGED."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from enum import IntEnum

from ..models.rollups import DIMENSIONS, TAGS, Grain


class Cut(IntEnum):
    FULL = 0
    MODELS = 1
    KEYS = 2
    PEOPLE = 3
    PROJECTS = 4
    TAGS = 5
    TAGGED = 6


_MODELS = {"provider_id", "model_id", "payer", "model_type", "outcome", "error"}
HOLDS: dict[Cut, frozenset[str]] = {
    Cut.KEYS: frozenset({"provider_id", "api_key_id", "payer"}),
    Cut.PEOPLE: frozenset({"project_id", "user_id"}),
    Cut.MODELS: frozenset(_MODELS),
    Cut.PROJECTS: frozenset(_MODELS | {"project_id"}),
    Cut.FULL: frozenset({*DIMENSIONS} - {TAGS}),
    Cut.TAGS: frozenset(_MODELS | {TAGS}),
    Cut.TAGGED: frozenset(DIMENSIONS),
}
"""Cut → its dimensions; the small ones first."""
OF_TAGGED = (Cut.TAGS, Cut.TAGGED)
"""Of runs with tags only: who uses none has none of these, and what has none is the rest."""

QUARTERS_KEPT = timedelta(days=3)
HOURS_KEPT = timedelta(days=35)
"""Long enough to compare a month with the one before up to the same hour. An hour has nearly as many sums as runs, but
in MODELS: there they stay."""


def smallest(needed: Collection[str], *, old_hours: bool = False) -> Cut:
    """`old_hours`: one that still has hours of longer ago than most keep them, if any has what is needed."""
    found = [cut for cut, dimensions in HOLDS.items() if dimensions.issuperset(needed)]
    return next((cut for cut in found if old_hours and kept(cut, Grain.HOUR) is None), found[0])


def kept(cut: Cut, grain: Grain) -> timedelta | None:
    """How long its buckets stay; None: for ever."""
    if grain is Grain.QUARTER:
        return QUARTERS_KEPT
    return HOURS_KEPT if grain is Grain.HOUR and cut is not Cut.MODELS else None


def every() -> Iterator[tuple[Cut, Grain]]:
    yield from ((cut, grain) for cut in Cut for grain in Grain)
