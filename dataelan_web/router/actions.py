"""An answer → structured actions: what a person can copy, save, tick, open or run.

Pure, bounded, and deaf to nonsense: any text at all gives a list, most often an empty one. Markdown is read
by a Markdown parser, so what looks like a table inside a code block is code.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from .types import ToolCall

MOST = 50
LARGEST_TEXT = 300_000
LARGEST_CONTENT = 100_000
LARGEST_CELL = 2_000
MOST_ROWS = 500
MOST_COLUMNS = 50
MOST_ITEMS = 200
DEEPEST_JSON = 50


@dataclass(frozen=True)
class Action:
    """`kind` is code, diff, table, json, checklist, link or tool_call; `payload` can be written as JSON."""

    kind: str
    title: str
    payload: Mapping[str, Any]


def actions(text: str, tool_calls: Iterable[ToolCall] = (), language_hint: str | None = None) -> list[Action]:
    """Tool calls first, then what stands in the text, in its order. `language_hint` names code that has no language."""
    return list(islice(_found(text, tool_calls, language_hint or ""), MOST))


def _found(text: str, tool_calls: Iterable[ToolCall], hint: str) -> Iterator[Action]:
    yield from _tool_calls(tool_calls)
    text = _storable(text[:LARGEST_TEXT])
    if action := _json(text.strip()):
        yield from _with_table(action)
        return
    if table := _unmarked_csv(text):
        yield table
        return
    if not _MARKS.search(text):
        return
    tokens = _parser.parse(text)
    seen: set[str] = set()
    for place, token in enumerate(tokens):
        if token.type in ("fence", "code_block"):
            yield from _with_table(_fenced(token, _before(tokens, place), hint))
        elif token.type == "table_open":
            yield _table(*_cells(tokens, place))
        elif token.type in ("bullet_list_open", "ordered_list_open"):
            yield from _checklist(tokens, place)
        elif token.type == "inline":
            yield from _links(token, seen)


def _storable(text: str) -> str:
    """Without what a JSON column cannot hold: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "�").encode(errors="replace").decode()


def _url(url: str) -> bool:
    return bool(re.match(r"https?://[^/?#\s]", url, re.IGNORECASE))


_MARKS = re.compile(r"[`~|\[<\t]| {4}")
"""What code, tables, lists to tick and links are written with. Most answers are prose without, which to parse costs."""


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["table", "strikethrough"])
    parser.validateLink = _url  # type: ignore[method-assign]
    return parser


_parser = _make_parser()


# -- tool calls ------------------------------------------------------------------------------------


def _tool_calls(pieces: Iterable[ToolCall]) -> Iterator[Action]:
    whole: dict[int, ToolCall] = {}
    for piece in pieces:
        start = whole.get(piece.index, ToolCall(piece.index))
        whole[piece.index] = ToolCall(
            piece.index, start.id or piece.id, start.name or piece.name, start.arguments + piece.arguments
        )
    for call in whole.values():
        name = _storable(call.name)
        payload: dict[str, Any] = {"id": _storable(call.id), "name": name}
        try:
            payload["arguments"] = read_json(call.arguments or "{}")
        except ValueError as error:
            payload |= {"raw": _storable(call.arguments[:LARGEST_CONTENT]), "error": str(error)}
        yield Action("tool_call", name or "tool", payload)


# -- code and data ---------------------------------------------------------------------------------

FILE_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.[A-Za-z]\w{0,9}|(?:[\w.-]+/)*(?:Dockerfile|Makefile|Procfile|Caddyfile)")
# The last word of a line such as "In `app.py`:", "**src/main.rs**" or "Save this as `x.sh`".
NAMED = re.compile(rf"(?:^|[\s`*\"'(])({FILE_NAME.pattern})[`*\"')]*\s*:?$")
NAMED_IN_INFO = re.compile(
    rf"(?:^|[\s:{{])(?:(?:title|file(?:name)?|name)=)?[\"']?({FILE_NAME.pattern})[\"']?(?=[\s}}]|$)"
)


def _fenced(token: Token, before: str, hint: str) -> Action:
    content, info = token.content[:LARGEST_CONTENT], token.info.strip()[:200]
    language = re.split(r"[\s:{,]", info, maxsplit=1)[0].lower()
    if language in ("json", "") and (action := _json(content.strip())):
        return action
    if language in ("csv", "tsv") and (action := _csv(content, "\t" if language == "tsv" else ",")):
        return action
    if language in UNMARKED and (action := _unmarked_csv(content)):
        return action
    if language in ("diff", "patch"):
        return _diff(content, _file_name("", before))
    name = _file_name(info, before)
    language = (language if language != name.lower() else "") or hint
    return Action("code", name or language or "code", {"language": language, "file_name": name, "content": content})


UNMARKED = ("", "text", "txt", "plain", "plaintext")
CHANGED = re.compile(r"^\+\+\+ (?:b/)?([^\t\n]+)", re.M)


def _diff(content: str, name: str) -> Action:
    """What a change adds and takes away, in lines, and the file it is of where it says so."""
    lines = content.splitlines()
    named = CHANGED.search(content)
    name = name or (named[1].strip() if named and ".." not in named[1] and named[1].strip() != "/dev/null" else "")
    added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
    payload = {"file_name": name, "content": content, "added": added, "removed": removed}
    return Action("diff", name or "Changes", payload)


def _file_name(info: str, before: str) -> str:
    """As the fence says it, or the line above; never a way out of a directory."""
    found = NAMED_IN_INFO.search(info) or NAMED.search(before)
    name = found[1] if found else ""
    return "" if ".." in name else name


def _before(tokens: Sequence[Token], place: int) -> str:
    """The last line of the paragraph or heading right above a block."""
    if place >= 2 and tokens[place - 1].type in ("paragraph_close", "heading_close"):
        return tokens[place - 2].content.rsplit("\n", 1)[-1].strip()[-200:]
    return ""


def _json(text: str) -> Action | None:
    """Only an object or an array counts: a lone number or word is no structure."""
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]"):
        return None
    try:
        return Action("json", "JSON", {"value": read_json(text)})
    except ValueError:
        return None


def _with_table(action: Action) -> Iterator[Action]:
    """JSON that is a list of like objects is a table as well; or an object around one list, as a schema demands one."""
    yield action
    rows = action.payload.get("value") if action.kind == "json" else None
    if isinstance(rows, dict):
        lists = [value for value in rows.values() if isinstance(value, list)]
        rows = lists[0] if len(lists) == 1 else None
    if isinstance(rows, list) and len(rows) > 1 and all(isinstance(row, dict) and row for row in rows):
        names = list(dict.fromkeys(name for row in rows[:MOST_ROWS] for name in row))
        if len(names) <= MOST_COLUMNS and all(_is_flat(row) for row in rows[:MOST_ROWS]):
            yield _table(names, [[_cell(row.get(name)) for name in names] for row in rows])


def _is_flat(row: Mapping[str, Any]) -> bool:
    return not any(isinstance(value, dict | list) for value in row.values())


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def read_json(text: str, most: int = LARGEST_CONTENT) -> Any:
    """JSON as the standard has it: no NaN, no endless numbers, not too deep to be written again. `most`: characters.
    Raises ValueError."""
    if len(text) > most:
        raise ValueError("too large")
    try:
        value = json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _measure(value, DEEPEST_JSON)
    return value


def _measure(value: Any, left: int) -> None:
    if not left:
        raise ValueError("nested too deeply")
    for string in (value,) if isinstance(value, str) else value if isinstance(value, dict) else ():
        if _storable(string) != string:
            raise ValueError("a string holds what is no character")
    if isinstance(value, float) and value - value != 0:  # 1e999 reads as infinity
        raise ValueError("a number is too large")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _measure(child, left - 1)


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _csv(text: str, delimiter: str) -> Action | None:
    try:
        rows = [row for row in islice(_rows(text, delimiter), MOST_ROWS + 1) if row]
    except csv.Error:
        return None
    return _table(rows[0], rows[1:]) if len(rows) > 1 else None


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """With the ends of lines that stand inside quotes. Raises csv.Error."""
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


LONGEST_NAME = 60
"""Characters of a column's name."""


def _unmarked_csv(text: str) -> Action | None:
    """Text that is nothing but rows, though nothing says so: each as wide as the first, which holds names and no
    sentence."""
    text = text.strip()
    lines = text.splitlines()
    if len(lines) < 2:
        return None
    for delimiter in ",;\t|":
        if delimiter not in lines[0] or delimiter not in lines[1]:
            continue
        try:
            rows = [row for row in islice(_rows(text, delimiter), MOST_ROWS + 1) if row]
        except csv.Error:
            continue
        if len({len(row) for row in rows}) == 1 and _is_sheet(rows):
            return _table([name.strip() for name in rows[0]], [[cell.strip() for cell in row] for row in rows[1:]])
    return None


def _is_sheet(rows: Sequence[Sequence[str]]) -> bool:
    """Prose sets a space behind its commas: so do few sheets, and those count if a column holds numbers."""
    names = [name.strip() for name in rows[0]]
    are_names = all(0 < len(name) <= LONGEST_NAME and name[-1] not in ".!?:" for name in names)
    if len(rows) < 2 or not are_names or len(set(names)) < len(names) or len(names) < 2:
        return False
    is_spaced = any(cell[:1] == " " for row in rows for cell in row[1:])
    return not is_spaced or any(
        all(NUMBER.fullmatch(cell.strip()) for cell in column) for column in zip(*rows[1:], strict=True)
    )


NUMBER = re.compile(r"[$€£]?[+-]?\d[\d.,]*\s?%?")


# -- what Markdown knows ---------------------------------------------------------------------------


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Action:
    """Every row as wide as the header."""
    header = _cut(header)
    lines = [(_cut(row) + [""] * len(header))[: len(header)] for row in rows[:MOST_ROWS]]
    return Action("table", ", ".join(filter(None, header))[:80] or "Table", {"header": header, "rows": lines})


def _cut(cells: Sequence[str]) -> list[str]:
    return [cell[:LARGEST_CELL] for cell in cells[:MOST_COLUMNS]]


def _cells(tokens: Sequence[Token], place: int) -> tuple[list[str], list[list[str]]]:
    rows: list[list[str]] = []
    for at in range(place + 1, len(tokens)):
        token = tokens[at]
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_plain(token))
    return rows[0], rows[1:]


BOX = re.compile(r"\[([ xX])\][ \t]+(?=\S)")


def _checklist(tokens: Sequence[Token], place: int) -> Iterator[Action]:
    """The items of one list that start with a box; items of lists inside it belong to those."""
    level = tokens[place].level
    items: list[dict[str, Any]] = []
    for at in range(place + 1, len(tokens)):
        item = tokens[at]
        if item.level == level:  # the list's end
            break
        if item.type == "list_item_open" and item.level == level + 1 and tokens[at + 2].type == "inline":
            text = _plain(tokens[at + 2])
            if box := BOX.match(text):
                items.append({"text": text[box.end() :][:LARGEST_CELL], "done": box[1] != " "})
    if items:
        done = sum(item["done"] for item in items)
        yield Action("checklist", f"{done} of {len(items)} done", {"items": items[:MOST_ITEMS]})


BARE = re.compile(r"\bhttps?://[^\s<>\"'`)\]]+", re.IGNORECASE)


def _links(inline: Token, seen: set[str]) -> Iterator[Action]:
    """Each address once, whether it was written as a link or just stands there. Images are no links."""
    href, text = "", ""
    for child in inline.children or ():
        if child.type == "link_open":
            href, text = str(child.attrGet("href")), ""
        elif child.type == "link_close":
            yield from _link(href, text, seen)
            href = ""
        elif href:
            text += child.content
        elif child.type == "text":
            for found in BARE.findall(child.content):
                url = found.rstrip(".,:;!?*_~")
                yield from _link(url, url, seen)


def _link(url: str, text: str, seen: set[str]) -> Iterator[Action]:
    if _url(url) and len(url) <= LARGEST_CELL and url not in seen:
        seen.add(url)
        yield Action("link", (text or url)[:200], {"url": url, "text": text[:LARGEST_CELL]})


def _plain(inline: Token) -> str:
    breaks: Mapping[str, str] = {"softbreak": " ", "hardbreak": " "}
    return "".join(breaks.get(child.type, child.content) for child in inline.children or ()).strip()
