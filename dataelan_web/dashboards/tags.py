"""Spend by tag. A run may have several, so each of them has all of it, and together they may be more than there was."""

from __future__ import annotations

from collections.abc import Sequence

from . import sums
from .filters import TAG, Filters
from .panels import OPENS, PER_1K, PER_RUN, RUNS, SPEND, TOKENS, Cell, Panel, cell, page_of, runs_of
from .sums import Sums

MOST = 50
MEASURES = (SPEND, RUNS, TOKENS, PER_RUN, PER_1K)
UNTAGGED = "No tag"
EMPTY = (
    "No run in the time shown has a tag. Sessions are tagged in the playground; programs send them in the header "
    "x-dataelan-tags."
)
HOW = (
    "Spend with each tag: a run with several counts in full with each of them, so tags can add up to more than the "
    "spend. What has any and what has none add up to it. Runs have the tags that their session has now."
)


def panel(filters: Filters, whole: Sums, page: str) -> Panel:
    """`whole`: sums of all that is shown, tagged or not."""
    found, tagged = sums.tagged(filters.asked, (filters.range.span,))
    order = sorted(found, key=lambda tag: (-found[tag].cost, -found[tag].runs, tag))
    largest = max((one.cost for one in found.values()), default=0)
    rows: list[Sequence[Cell]] = []
    for tag in order[:MOST]:
        only = filters.with_(TAG, tag)
        head = Cell(f"#{tag}", tag, page_of(page, only), found[tag].cost / largest if largest else None)
        is_all = filters.said.get(TAG, tag) == tag  # an address has one tag, and two would be wanted
        rows.append([head, *_numbers(found[tag], runs_of(filters, only) if is_all else "")])
    if rows and (rest := whole - tagged) != Sums():
        opens = runs_of(filters, filters.address, untagged="yes")
        rows.append([Cell(UNTAGGED), *_numbers(rest, opens)])
    cut = f"The first {MOST} of {len(order)}. " if len(order) > MOST else ""
    columns = ["Tag", *(measure.label for measure in MEASURES)]
    return Panel("tags", "Tag", columns, rows, None, "", True, EMPTY, f"{cut}{HOW}")


def _numbers(of: Sums, opens: str) -> list[Cell]:
    return [cell(one, of, opens if one in OPENS else "") for one in MEASURES]
