"""A sheet of values out of a CSV, or out of what was pasted from a spreadsheet. Pure: bytes in, rows out.

It is a stranger's file: every size is bounded, and what is odd about it is told with the line it is in.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ..formats import BYTE_ORDER_MARK, csv_cell

LARGEST = 10 * 1024 * 1024
MOST_ROWS = 10_000
MOST_COLUMNS = 200
LONGEST_CELL = 1_000_000
"""Characters."""
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SEPARATOR = re.compile(r"sep=([,;\t|])[\r\n]", re.IGNORECASE)
"""A first line that says it, as some programs write for Excel, and Excel takes for no row."""
NONE = "\x1f"
"""Of one column nothing is split, whatever marks its texts hold."""
LOOKED_AT = 50
"""Rows that show which delimiter it is."""
TOLD = 50
"""Oddities that are told one by one."""
UNMARKED = "The ' that files from here have before what a spreadsheet takes for a formula was taken off again."
"""What else than such a file has it there is rare."""

csv.field_size_limit(LONGEST_CELL)


class Refused(ValueError):
    """The message is fit to show."""


@dataclass(frozen=True)
class Line:
    number: int
    """Where it began in the file, from 1."""
    values: tuple[str, ...]


@dataclass
class Sheet:
    columns: tuple[str, ...]
    rows: list[Line] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """What was odd, as sentences; rows that it says so of are not among `rows`."""


def read(content: bytes) -> Sheet:
    """The first row names the columns. Raises Refused."""
    if len(content) > LARGEST:
        raise Refused(f"It has {len(content) / 1e6:.1f} MB; the most is {LARGEST // 1024**2} MB.")
    text, note = _decoded(content)
    sheet = read_text(text)
    sheet.told[:0] = [note] * bool(note)
    return sheet


def read_text(text: str) -> Sheet:
    """Raises Refused."""
    if len(text.encode(errors="replace")) > LARGEST:
        raise Refused(f"It is too long; the most is {LARGEST // 1024**2} MB.")
    text = text.removeprefix(BYTE_ORDER_MARK)
    if not text.strip():
        raise Refused("There is nothing in it.")
    told = SEPARATOR.match(text)
    delimiter = told[1] if told else _delimiter(text)
    lines = _lines(text, delimiter)
    if told:
        next(lines)
    header = next(lines, None)
    if header is None:
        raise Refused("There is nothing in it.")
    sheet = Sheet(_named(header.values))
    odd, marked = list[str](), any(map(_is_marked, header.values))
    for line in lines:
        if said := _fitted(line, sheet):
            odd.append(said)
        marked = marked or any(map(_is_marked, line.values))
        if len(sheet.rows) > MOST_ROWS:
            raise Refused(f"It has more than {MOST_ROWS:,} rows. Split it, and run a batch of each part.")
    if not sheet.rows:
        raise Refused("It has a row of names and nothing below it." if not odd else f"No row can be used. {odd[0]}")
    sheet.told += [UNMARKED] * marked
    sheet.told += [*odd[:TOLD], *([f"And {len(odd) - TOLD:,} more lines like these."] if len(odd) > TOLD else [])]
    return sheet


def _decoded(content: bytes) -> tuple[str, str]:
    """(text, what to say about how it was read)"""
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise Refused("This is a spreadsheet, not CSV. In it choose Save as, “CSV UTF-8”, or copy the cells and paste.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16"), ""
        except UnicodeDecodeError:
            raise Refused("It is no text that can be read. Save it as CSV in UTF-8.") from None
    try:
        text, note = content.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
        note = "It is not UTF-8, and was read as Windows text: look whether letters such as é and ü are right."
    if "\x00" in text:
        raise Refused("It is no text: it holds zero bytes. Save it as CSV in UTF-8.")
    return text, note


def _delimiter(text: str) -> str:
    """The one by which most of the first rows have as many columns as the header, and those the most."""

    def fit(delimiter: str) -> tuple[float, int]:
        try:
            first = list(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), LOOKED_AT))
        except csv.Error:
            return 0.0, 0
        width = len(first[0]) if first else 0
        alike = sum(len(row) == width for row in first) / max(len(first), 1)
        return (alike if width > 1 else 0.0), width

    best = max(DELIMITERS, key=fit)
    return best if fit(best)[1] > 1 else NONE


def _lines(text: str, delimiter: str) -> Iterator[Line]:
    """Rows that hold something. Raises Refused where the quotes do not match."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Refused(_why(str(error), number, delimiter)) from None
        if any(value.strip() for value in values):
            yield Line(number, tuple(values))


def _why(error: str, number: int, delimiter: str) -> str:
    if "field larger" in error:
        return f"A cell in the row from line {number:,} has more than {LONGEST_CELL:,} characters, or is not closed."
    if "unexpected end" in error:
        return f"The row from line {number:,} opens a quote that is never closed."
    return (
        f"The row from line {number:,} cannot be read: something follows a closed quote (cells are split at"
        f' {DELIMITERS.get(delimiter, "lines")}). Write a quote inside quotes twice: "".'
    )


def _named(header: Sequence[str]) -> tuple[str, ...]:
    names = [" ".join(csv_cell(name).split()) for name in header]
    while names and not names[-1]:
        names.pop()
    if len(names) > MOST_COLUMNS:
        raise Refused(f"It has {len(names):,} columns; the most is {MOST_COLUMNS}.")
    if any(not name for name in names):
        raise Refused(f"Column {names.index('') + 1} has no name. The first row must name every column.")
    if long := next((name for name in names if len(name) > 100), None):
        raise Refused(f"The first row must name the columns, and “{long[:60]}…” is too long for a name.")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Refused(f"Two columns are called “{twice}”. Give each a name of its own.")
    return tuple(names)


def _is_marked(value: str) -> bool:
    return csv_cell(value) != value


def _fitted(line: Line, sheet: Sheet) -> str:
    """Add it to the sheet, or say why not; or what was missing in it."""
    width, found = len(sheet.columns), len(line.values)
    if any(value.strip() for value in line.values[width:]):
        return f"Line {line.number:,} was left out: it has {found} columns, and the first row names {width}."
    values = (*map(csv_cell, line.values[:width]), *[""] * (width - found))
    sheet.rows.append(Line(line.number, values))
    if found < width:
        missing = ", ".join(f"“{name}”" for name in sheet.columns[found : found + 3])
        return f"Line {line.number:,} ends early: {missing}{' …' if width - found > 3 else ''} is taken as empty."
    return ""
