"""A treemap: what each provider cost, and in it each of its models, as tiles whose areas are the money.

The basic bundle of Plotly has no treemaps, so each tile is a bar with a place and a width of its own. Tiles are laid
out as in Bruls, Huizing, van Wijk: "Squarified Treemaps", 2000: row by row along the shorter side, as square as may be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .. import formats
from ..models import NANO
from . import figures
from .filters import Filters
from .names import called
from .panels import REST, SPEND, Cell, Panel, cell, page_of, percent, runs_of
from .sums import Sums

WIDE, HIGH = 200.0, 100.0
"""Twice as wide as high, about as on a page."""
HEAD, GAP = 9.0, 0.7
"""Above the tiles of a provider, for its name; and between two tiles."""
MOST = 40
"""Tiles; a page has room for no more."""
ROOM = 26.0
"""Where a provider is narrower than this there is no room for its name."""
PALE = 0.34


class Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float


def panel(
    filters: Filters, pairs: Mapping[tuple[Any, Any], Sums], providers: Sequence[Any], names: dict[Any, str], page: str
) -> Panel:
    """`providers`: in the order of the page's colours."""
    found = {pair: one for pair, one in pairs.items() if one.cost > 0}
    order = sorted(found, key=lambda pair: (-found[pair].cost, str(pair)))
    whole = sum(found[pair].cost for pair in order)
    rows = []
    for provider, model in order:
        only = filters.with_("model", model)
        opens = runs_of(filters, only, provider=provider)
        share = found[provider, model].cost / whole
        rows.append(
            [
                Cell(called("model_id", model, names), url=page_of(page, only)),
                Cell(called("provider_id", provider, names)),
                cell(SPEND, found[provider, model], opens),
                Cell(percent(share), round(share, 6)),
            ]
        )
    shown = {pair: found[pair].cost for pair in order[:MOST]}
    rest = whole - sum(shown.values())
    figure = _figure(shown, rest, providers, names) if rows else None
    footer = f"The first {MOST} of {len(order)} are drawn; the others together." if rest else ""
    columns = ["Model", "Provider", "Spend", "Share"]
    note = "Each area is what was paid for a model; a click shows only that one."
    return Panel("tiles", "Providers and models", columns, rows, figure, note if rows else "", footer=footer)


def _figure(
    shown: Mapping[tuple[Any, Any], int], rest: int, providers: Sequence[Any], names: dict[Any, str]
) -> dict[str, Any]:
    of_provider: dict[Any, dict[Any, int]] = {}
    for (provider, model), cost in shown.items():
        of_provider.setdefault(provider, {})[model] = cost
    if rest:
        of_provider[REST] = {REST: rest}
    order = sorted(of_provider, key=lambda provider: -sum(of_provider[provider].values()))
    boxes = tiles([sum(of_provider[provider].values()) for provider in order], Box(0, 0, WIDE, HIGH))
    data, heads, parts = list[dict[str, Any]](), list[dict[str, Any]](), list[Any]()
    for provider, box in zip(order, boxes, strict=True):
        models = of_provider[provider]
        said = REST if provider is REST else called("provider_id", provider, names)
        has_head = box.width > ROOM and box.height > 2 * HEAD and provider is not REST
        inner = box._replace(height=box.height - HEAD) if has_head else box
        if has_head:
            heads.append(_head(box, f"{figures.plain(said)} {formats.money(sum(models.values()))}"))
        place = providers.index(provider) if provider in providers else figures.MOST
        colour = figures.COLOURS[place] if place < figures.MOST else figures.REST
        for (model, cost), tile in zip(models.items(), tiles([*models.values()], inner), strict=True):
            name = REST if model is REST else called("model_id", model, names)
            data.append(_tile(tile, figures.plain(name), f"{figures.plain(said)}: ", cost, colour))
            parts.append("" if model is REST else model)
    axis = {"visible": False, "type": "linear", "automargin": False}
    layout = {
        "xaxis": axis | {"range": [0, WIDE]},
        "yaxis": axis | {"range": [0, HIGH]},
        "barmode": "overlay",
        "hovermode": "closest",
        "showlegend": False,
        "annotations": heads,
        "uniformtext": {"minsize": 10, "mode": "hide"},
    }
    figure = {"data": data, "layout": layout}
    figures.can_be_clicked(figure, [], "model", parts)
    return figure


def _head(box: Box, said: str) -> dict[str, Any]:
    place = {"x": box.x + GAP, "y": box.y + box.height, "xanchor": "left", "yanchor": "top", "showarrow": False}
    return place | {"text": said, "align": "left", "borderpad": 1}


def _tile(tile: Box, name: str, provider: str, cost: int, colour: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "x": [tile.x + tile.width / 2],
        "width": [max(tile.width - GAP, 0.1)],
        "base": [tile.y + GAP / 2],
        "y": [max(tile.height - GAP, 0.1)],
        "text": [f"{name}<br>{formats.money(cost)}"],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "insidetextfont": {"color": "--foreground", "size": 12},
        "hovertext": [f"{provider}{name}, {formats.money(cost)} (${cost / NANO:.6f})"],
        "hoverinfo": "text",
        "marker": {"color": colour, "opacity": PALE},
    }


def tiles(sizes: Sequence[int], box: Box) -> list[Box]:
    """A tile for each size, the largest first, which together fill the box. Every size is more than nothing."""
    scale = box.width * box.height / sum(sizes)
    rest, found = [size * scale for size in sizes], list[Box]()
    while rest:
        side = min(box.width, box.height)
        row = 1
        while row < len(rest) and _worst(rest[: row + 1], side) <= _worst(rest[:row], side):
            row += 1
        placed, box = _row(rest[:row], box)
        found += placed
        rest = rest[row:]
    return found


def _worst(areas: Sequence[float], side: float) -> float:
    """The ratio of the longer to the shorter side of the tile that is least square, in a row along that side."""
    whole = sum(areas) ** 2
    return max(side**2 * max(areas) / whole, whole / (side**2 * min(areas)))


def _row(areas: Sequence[float], box: Box) -> tuple[list[Box], Box]:
    """Tiles along the shorter side, and what is left of the box."""
    found, along = list[Box](), 0.0
    if box.width >= box.height:  # a column at the left, from the top
        thick = sum(areas) / box.height
        for area in areas:
            along += area / thick
            found.append(Box(box.x, box.y + box.height - along, thick, area / thick))
        return found, Box(box.x + thick, box.y, max(box.width - thick, 1e-9), box.height)
    thick = sum(areas) / box.width  # a row at the top
    for area in areas:
        found.append(Box(box.x + along, box.y + box.height - thick, area / thick, thick))
        along += area / thick
    return found, Box(box.x, box.y, box.width, max(box.height - thick, 1e-9))
