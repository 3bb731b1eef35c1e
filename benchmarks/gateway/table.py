"""The figures as one table, and a line for each bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isinf

from .measures import CONNECTIONS, OTHERS, STREAMS, WAITING, Answers, Figures, Streams

MISSING = "–"
HEADS = (
    "",
    f"requests/s at {' / '.join(map(str, CONNECTIONS))}",
    "p50 / p99 at 1, ms",
    "p99 at 64, ms",
    f"200 ms upstream × {WAITING} clients",
    *(f"{count} streams: intact, TTFT p50, end" for count in STREAMS),
    "CPU per request, ms",
    "CPU per stream, ms",
    "memory, MB",
)


def heads() -> str:
    """Of the table, in Markdown."""
    return f"{_line(HEADS)}\n{_line(['---'] * len(HEADS))}"


def row_of(name: str, row: Figures | str) -> str:
    """A product that could not be measured has the reason in its row."""
    return _line((name, *(cells(row) if isinstance(row, Figures) else (row,))))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cells(row: Figures) -> tuple[str, ...]:
    rates, one, many = row.answers, row.answers.get(1), row.answers.get(64)
    return (
        " / ".join(f"{answers.rate:,.0f}" for answers in rates.values()) or MISSING,
        f"{ms(one.p50)} / {ms(one.p99)}" if one else MISSING,
        ms(many.p99) if many else MISSING,
        f"{row.slow.rate:,.0f}/s" if row.slow else MISSING,
        *(streamed(row.streams.get(count)) for count in STREAMS),
        between([answers.processor for answers in rates.values()]),
        between([streams.processor for streams in row.streams.values()]),
        f"{megabytes(row):.0f}" if row.memory else MISSING,
    )


def streamed(streams: Streams | None) -> str:
    if streams is None:
        return MISSING
    return f"{streams.intact} of {streams.of}, {ms(streams.p50)} ms, {streams.took:.1f} s"


def between(seconds: list[float | None]) -> str:
    known = [value for value in seconds if value]
    return MISSING if not known else "–".join(dict.fromkeys((ms(min(known)), ms(max(known)))))


def ms(seconds: float) -> str:
    if isinf(seconds):
        return "never"
    return f"{seconds * 1000:,.0f}" if seconds >= 0.1 else f"{seconds * 1000:.3g}"


def megabytes(row: Figures) -> float:
    return sum(value for name, value in row.memory.items() if name not in OTHERS) / 2**20


# -- the bars ------------------------------------------------------------------------------------


def bars(rows: Mapping[str, Figures | str]) -> Iterator[str]:
    """One line each, of those for which there are figures. `rows` by the short names of the products."""
    found = {name: row for name, row in rows.items() if isinstance(row, Figures)}
    one, two = found.get("one"), found.get("two")
    if one and one.answers:
        yield from _of_one(one, found.get("litellm"), found.get("direct"))
    if two and two.answers:
        yield from _against(two, found.get("portkey"), 1, "two web processes, Portkey = 1")
    for name, row in (("one web process", one), ("two web processes", two)):
        if row and row.answers:
            spent = max(answers.processor or 0 for answers in row.answers.values())
            yield verdict(f"{name}: CPU a request", ms(spent) + " ms", "under 2.5 ms", spent < 0.0025)
        if row and row.slow:
            what = f"{name}: 200 ms upstream × {WAITING} clients"
            yield verdict(what, f"{row.slow.rate:.0f}/s", "at least 750/s, of two", row.slow.rate >= 750)
        if row:
            yield from _of_streams(name, row)
        if row and row.memory:
            yield verdict(f"{name}: memory in all", f"{megabytes(row):.0f} MB", "under 400 MB", megabytes(row) < 400)


def _of_one(one: Figures, litellm: Figures | None, direct: Figures | None) -> Iterator[str]:
    yield from _against(one, litellm, 8, "one web process, LiteLLM = 1")
    if many := one.answers.get(64):
        yield verdict("one web process: p99 at 64", ms(many.p99) + " ms", "under 250 ms", many.p99 < 0.25)
    if direct and direct.answers:
        ours, theirs = one.answers[1], direct.answers[1]
        for name, added, bar in (("p50", ours.p50 - theirs.p50, 0.003), ("p99", ours.p99 - theirs.p99, 0.015)):
            yield verdict(f"one web process: added at 1, {name}", ms(added) + " ms", f"under {ms(bar)} ms", added < bar)


def _against(ours: Figures, peer: Figures | None, times: int, what: str) -> Iterator[str]:
    if peer is None or not peer.answers:
        yield f"  {what}: no figure of it, so no comparison"
        return
    for connections, answers in ours.answers.items():
        ratio = _ratio(answers, peer.answers[connections])
        yield verdict(f"{what}: requests/s at {connections}", f"{ratio:.2f} ×", f"at least {times} ×", ratio >= times)


def _ratio(ours: Answers, theirs: Answers) -> float:
    return ours.rate / theirs.rate if theirs.rate else float("inf")


def _of_streams(name: str, row: Figures) -> Iterator[str]:
    for count, streams in row.streams.items():
        is_intact = streams.intact == streams.of
        yield verdict(f"{name}: {count} streams intact", f"{streams.intact} of {streams.of}", "all", is_intact)
        if count == 200:
            first = ms(streams.p50) + " ms"
            yield verdict(f"{name}: 200 streams, first word p50", first, "under 100 ms", streams.p50 < 0.1)


def verdict(what: str, figure: str, bar: str, is_met: bool) -> str:
    return f"  {'met    ' if is_met else 'NOT MET'}  {what:<58} {figure:>14}  bar: {bar}"
