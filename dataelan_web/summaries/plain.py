"""A summary in plain text, for mail programs that show no HTML."""

from __future__ import annotations

from collections.abc import Iterator

from .content import Summary


def plain(summary: Summary) -> str:
    return "\n".join(_lines(summary)).strip()


def _lines(summary: Summary) -> Iterator[str]:
    yield from (summary.headline, "")
    for fact in summary.facts:
        yield f"{fact.label}: {fact.said}{f' ({fact.change})' if fact.change else ''}"
    for words in (summary.outlook, summary.savings, summary.unpriced, summary.rate):
        if words:
            yield from ("", words)
    for table in summary.tables:
        yield from ("", table.title)
        for row in table.rows:
            yield f"- {row.name}: {', '.join(cell for cell in row.cells)}"
    if summary.met:
        yield from ("", "Limits that were met")
        for limit in summary.met:
            yield f"- {limit.name}: {limit.standing}{f', {limit.refused}' if limit.refused else ''}"
