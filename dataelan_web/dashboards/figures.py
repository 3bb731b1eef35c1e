"""Plotly figures as plain values: {data, layout}. Colours are names of the page's own (`--chart-1`), which
static/dashboards.js puts in, so that one figure serves both themes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .. import currencies
from .ranges import Range

MONEY = "$"
"""The unit of amounts in the currency that is shown (currencies.Currency.drawn)."""
MOST = 6
"""Parts of a stack that can be told apart; what is left is one more."""
PALE = 0.4
COLOURS = tuple(f"--chart-{n}" for n in range(1, MOST + 1))
REST = "--muted-foreground"
WORDS, WIDE = 26, 0.4
"""Letters of a note that stand on a chart, and which part of a narrow one they take."""
ROWS, HIGH = 3, 0.09
"""Of such words, one above the other, and which part of the height each takes."""
HEAD = "◆"
Points = Sequence[float | None]


def _times(over: Range) -> list[str]:
    """In the organization's time; without an offset, since Plotly would turn them into its own."""
    return [f"{slot:%Y-%m-%dT%H:%M}" for slot in over.slots]


def stacked(over: Range, parts: Mapping[str, Points], unit: str = "") -> dict[str, Any]:
    """Bars a slot, one part on the other; the slot that still runs is pale."""
    times, running = _times(over), over.running
    opacity = [PALE if at == running else 1 for at in range(len(times))]
    data = [
        {
            "type": "bar",
            "name": plain(name),
            "x": times,
            "y": list(values),
            "marker": {"color": COLOURS[n] if n < MOST else REST, "opacity": opacity},
        }
        for n, (name, values) in enumerate(parts.items())
    ]
    return {"data": data, "layout": _layout(unit, barmode="stack", showlegend=len(parts) > 1)}


def lines(over: Range, parts: Mapping[str, Points], unit: str = "") -> dict[str, Any]:
    """Straight lines with gaps where there was nothing; up to the slot that still runs, which is dotted and ends in a
    pale point: all that is seen where nothing was before it."""
    times, running = _times(over), over.running
    data: list[dict[str, Any]] = []
    for n, (said, values) in enumerate(parts.items()):
        name = plain(said)
        colour = COLOURS[n % MOST]
        seen = list(values) if running is None else [*values[: running + 1], *[None] * (len(times) - running - 1)]
        whole = seen if running is None else [None if at == running else value for at, value in enumerate(seen)]
        alone: dict[str, Any] = {"y": seen, "opacity": PALE} if running == 0 else {}
        line = {"type": "scatter", "mode": "lines+markers", "name": name, "x": times, "y": whole} | alone
        data.append(line | {"line": {"color": colour, "width": 2}, "marker": {"color": colour, "size": 4}})
        if running:
            dotted = {"color": colour, "width": 2, "dash": "dot"}
            last: dict[str, Any] = {
                "x": times[running - 1 : running + 1],
                "y": seen[running - 1 : running + 1],
                "line": dotted,
                "marker": {"color": colour, "size": [0, 6]},
                "opacity": PALE,
            }
            data.append(line | {"showlegend": False} | last)
    return {"data": data, "layout": _layout(unit, showlegend=len(parts) > 1)}


def band(days: Sequence[datetime], spent: Points, ahead: Mapping[str, Points], limit: float | None) -> dict[str, Any]:
    """What was spent by each day, and between which two lines it will go on. ahead: {low, high}."""
    times = [f"{day:%Y-%m-%d}" for day in days]
    edge = {"type": "scatter", "mode": "lines", "x": times, "line": {"width": 0, "color": COLOURS[0]}}
    low = edge | {"y": list(ahead["low"]), "name": "at least", "showlegend": False}
    high = edge | {"y": list(ahead["high"]), "name": "at most", "fill": "tonexty", "fillcolor": "--chart-band"}
    line = {"type": "scatter", "mode": "lines", "name": "spent", "x": times, "y": list(spent)}
    data = [low, high | {"showlegend": False}, line | {"line": {"color": COLOURS[0], "width": 2}}]
    if limit is not None:
        top = {"type": "scatter", "mode": "lines", "name": "limit", "x": times, "y": [limit] * len(times)}
        data.append(top | {"line": {"color": COLOURS[3], "width": 1.5, "dash": "dash"}})
    return {"data": data, "layout": _layout(MONEY, showlegend=limit is not None)}


def burn_down(
    left: Sequence[tuple[str, float]], ahead: Sequence[tuple[str, float]], even: Sequence[tuple[str, float]], unit: str
) -> dict[str, Any]:
    """What is left by when; dotted where it leads; and faint, how it would be if all were used evenly. (time, left)"""

    def line(name: str, points: Sequence[tuple[str, float]], **how: Any) -> dict[str, Any]:
        return {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": [at for at, _ in points],
            "y": [number for _, number in points],
            "line": {"color": COLOURS[0], "width": 2} | how,
        }

    data = [line("used evenly", even, color=REST, width=1, dash="dash"), line("left", left)]
    if ahead:
        data.append(line("at this pace", ahead, dash="dot"))
    return {"data": data, "layout": _layout(unit, showlegend=True, hovermode="closest")}


def waterfall(parts: Sequence[tuple[str, float, str]]) -> dict[str, Any]:
    """(name, an amount, the same in words), from top to bottom: the first and the last are wholes, those between add to
    the first. Bars that begin where the one above ends, since the basic bundle has no waterfall."""
    names, ends, bars = [name for name, _, _ in parts], [parts[0][1]], [(0.0, parts[0][1], COLOURS[0])]
    for _, size, _ in parts[1:-1]:
        bars.append((ends[-1], size, COLOURS[3] if size > 0 else COLOURS[4]))
        ends.append(ends[-1] + size)
    bars.append((0.0, parts[-1][1], COLOURS[0]))
    steps = {"type": "line", "line": {"color": REST, "width": 1, "dash": "dot"}, "layer": "below"}
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": names,
        "x": [size for _, size, _ in bars],
        "base": [base for base, _, _ in bars],
        "marker": {"color": [colour for _, _, colour in bars]},
        "hovertext": [f"{name}: {said}" for name, _, said in parts],
        "hoverinfo": "text",
    }
    labels = [
        {"x": max(base, base + size), "y": name, "text": said, "showarrow": False, "xanchor": "left", "xshift": 4}
        for (name, _, said), (base, size, _) in zip(parts, bars, strict=True)
    ]
    far = max(max(base, base + size) for base, size, _ in bars)
    near = min(0.0, *ends)
    layout = {
        "xaxis": {"tickprefix": currencies.here().sign, "range": [near, far + (far - near) * 0.3], "nticks": 6},
        "yaxis": {"autorange": "reversed", "showgrid": False, "ticklabelstandoff": 6},
        "hovermode": "closest",
        "bargap": 0.3,
        "annotations": labels,
        "shapes": [steps | {"x0": end, "x1": end, "y0": n, "y1": n + 1} for n, end in enumerate(ends)],
    }
    return {"data": [trace], "layout": layout}


def shares(names: Sequence[str], parts: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """A bar a name, each as long as the others, of the parts that it has: {part: how much of each name}."""
    wholes = [sum(values[n] for values in parts.values()) for n in range(len(names))]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": part,
            "y": list(names),
            "x": [value / whole if whole else 0 for value, whole in zip(values, wholes, strict=True)],
            "marker": {"color": COLOURS[n] if n < MOST else REST},
        }
        for n, (part, values) in enumerate(parts.items())
    ]
    layout = {
        "barmode": "stack",
        "bargap": 0.3 if len(names) > 2 else 0.7,  # a bar alone would fill the panel
        "hovermode": "closest",
        "xaxis": {"tickformat": ".0%", "range": [0, 1], "showgrid": False},
        "yaxis": {"autorange": "reversed", "showgrid": False, "ticklabelstandoff": 6},
    }
    return {"data": data, "layout": layout}


def _layout(unit: str, **more: Any) -> dict[str, Any]:
    """Faint horizontal lines and nothing else around the data."""
    y: dict[str, Any] = {
        "gridcolor": "--border",
        "zerolinecolor": "--border",
        "rangemode": "tozero",
        "automargin": True,
    }
    if unit == MONEY:
        y["tickprefix"] = currencies.here().sign
    elif unit == "%":
        y["tickformat"] = ".1%"
    elif unit:
        y["ticksuffix"] = f" {unit}"
    return {"xaxis": {"type": "date", "showgrid": False}, "yaxis": y, "hovermode": "x unified", "bargap": 0.2, **more}


def mark(figure: dict[str, Any], over: Range, notes: Sequence[tuple[datetime, str]]) -> None:
    """A line at the slot in which something happened, and what, above the data: (when, in words). On figures over that
    time only. Where there is no room for words its line has a head, which says them where one points at it."""
    times = _times(over)
    if figure["data"][0].get("x") != times:
        return
    of_slot: dict[int, list[str]] = {}
    for at, words_of_one in notes:
        of_slot.setdefault(max(bisect_right(over.slots, at) - 1, 0), []).append(words_of_one)
    taken, shapes, words = [0.0] * ROWS, list[dict[str, Any]](), list[dict[str, Any]]()
    for place, said in sorted(of_slot.items()):
        part, x = place / max(len(times) - 1, 1), times[place]
        left = part if part + WIDE <= 1 else part - WIDE
        row = next((n for n, upto in enumerate(taken) if upto <= left), None)
        line = {"type": "line", "yref": "paper", "y0": 0, "line": {"color": REST, "width": 1, "dash": "dash"}}
        shapes.append(line | {"x0": x, "x1": x, "y1": 1 - (ROWS if row is None else row) * HIGH})
        if row is not None:
            taken[row] = left + WIDE
        words.append(_word(x, said, row, is_left=left == part))
    rows = sum(upto > 0 for upto in taken)
    figure["layout"] |= {"shapes": shapes, "annotations": words}
    figure["layout"]["yaxis"] = figure["layout"]["yaxis"] | {"domain": [0, 1 - rows * HIGH]}


def _word(x: str, said: Sequence[str], row: int | None, *, is_left: bool) -> dict[str, Any]:
    all_of_it = "<br>".join(map(plain, said))
    if row is None:
        beneath = 1 - ROWS * HIGH  # all words
        return {"x": x, "y": beneath, "yref": "paper", "showarrow": False, "text": HEAD, "hovertext": all_of_it}
    more = f" +{len(said) - 1}" if len(said) > 1 else ""
    short = said[0] if len(said[0] + more) <= WORDS else f"{said[0][: WORDS - 1 - len(more)]}…"
    side = {"xanchor": "left", "xshift": 3} if is_left else {"xanchor": "right", "xshift": -3}
    place = {"x": x, "y": 1 - row * HIGH, "yref": "paper", "yanchor": "top", "showarrow": False, "borderpad": 0}
    return place | side | {"text": plain(short + more), "hovertext": all_of_it}


def plain(text: str) -> str:
    """Words of people, of which Plotly takes some for HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def can_be_clicked(figure: dict[str, Any], slots: Sequence[Mapping[str, str]], name: str, parts: Sequence[Any]) -> None:
    """A click filters by its slot, where there are any, and by what its part is of: told as `meta`, which Plotly leaves
    to us."""
    figure["layout"]["meta"] = {"from": [one["from"] for one in slots], "to": [one["to"] for one in slots]}
    for trace, what in zip(figure["data"], parts, strict=False):
        trace["meta"] = {name: str(what)}
