"""An action of an answer as a file to keep: code, a diff, a table as CSV, JSON, a checklist; and all of them as one.

The content is a stranger's: it is only ever sent as an attachment, in a type no browser draws or runs.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..formats import BYTE_ORDER_MARK, csv_line
from ..markdown import ending_of
from ..models import Action

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest a zip can say: the same answer makes the same bytes."""


@dataclass(frozen=True)
class File:
    name: str
    media_type: str
    content: bytes


def file_of(action: Action) -> File | None:
    """None for what is no file, such as a link."""
    payload: dict[str, Any] = action.payload
    number = action.position + 1
    match action.kind:
        case "code":
            name = (
                payload.get("file_name", "").rsplit("/", 1)[-1]
                or f"code-{number}.{ending_of(payload.get('language', ''))}"
            )
            return File(name, "text/plain", payload["content"].encode())
        case "diff":
            name = payload["file_name"].rsplit("/", 1)[-1] or f"changes-{number}"
            return File(f"{name}.diff", "text/plain", payload["content"].encode())
        case "table":
            return File(f"table-{number}.csv", "text/csv", _csv([payload["header"], *payload["rows"]]))
        case "json":
            return File(f"data-{number}.json", "application/json", pretty(payload["value"]).encode())
        case "tool_call":
            return File(f"call-{number}.json", "application/json", pretty(payload).encode())
        case "checklist":
            return File(f"checklist-{number}.md", "text/plain", checklist(payload["items"]).encode())
    return None


def archive(actions: Iterable[Action]) -> bytes:
    """A zip of every file there is, in the folders that their names tell; two of one name get a number."""
    out, taken = io.BytesIO(), set[str]()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for action in actions:
            if file := file_of(action):
                path = _path(action, file)
                if path in taken:
                    path = f"{action.position + 1}-{path.replace('/', '-')}"
                taken.add(path)
                made.writestr(zipfile.ZipInfo(path, EPOCH), file.content)
    return out.getvalue()


def _path(action: Action, file: File) -> str:
    """router.actions takes no name that leads out of its folder; this one cannot begin at the root either."""
    return action.payload["file_name"].lstrip("/") or file.name if action.kind == "code" else file.name


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def checklist(items: list[dict[str, Any]]) -> str:
    return "".join(f"- [{'x' if item['done'] else ' '}] {item['text']}\n" for item in items)


def _csv(rows: list[list[str]]) -> bytes:
    return (BYTE_ORDER_MARK + "".join(map(csv_line, rows))).encode()
