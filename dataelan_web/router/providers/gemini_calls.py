"""The function calls of a generateContent answer: each whole in one part, or in pieces over many.

A call in pieces says `willContinue` until its last, which has no name and may be empty. Its arguments come as
`partialArgs`: values at places such as `$.stops[0].city`, a text of several pieces one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dataelan_web.router.providers.json_values import compact, mapping, mappings, string
from dataelan_web.router.types import ToolCall

DEEPEST = 50
"""Steps of a place; whatever lies deeper is left out."""
VALUES = {"stringValue", "numberValue", "boolValue", "nullValue"}
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d{1,6})\]|\[['\"]([^'\"]*)['\"]\]")


class Calls:
    """Numbers them as they begin, and puts together those that come in pieces."""

    def __init__(self) -> None:
        self.count = 0
        self._open: Any = None
        """The arguments, so far, of the call that is still coming."""

    def read(self, call: Mapping[str, Any]) -> Iterator[ToolCall]:
        name, pieces = string(call.get("name")), mappings(call.get("partialArgs"))
        goes_on = any(one.get("willContinue") is True for one in (call, *pieces))
        if name or (self._open is None and call):
            yield from self.close()
            arguments = mapping(call.get("args"))
            self._open = arguments if goes_on or pieces else None
            whole = compact(arguments) if self._open is None else ""
            yield ToolCall(self.count, string(call.get("id")), name, whole)
            self.count += 1
        if self._open is None:
            return
        for piece in pieces:
            steps = _steps(string(piece.get("jsonPath")))
            if steps and VALUES & piece.keys():  # else it only says that the value goes on, or has ended
                self._open = _with(self._open, steps, _value(piece))
        if not goes_on:
            yield from self.close()

    def close(self) -> Iterator[ToolCall]:
        """An answer may end without the last piece of a call."""
        if self._open is not None:
            yield ToolCall(self.count - 1, arguments=compact(_joined(self._open)))
        self._open = None


class _Words(list[str]):
    """A text that is still coming; joined once, since it may have many pieces."""


def _value(piece: Mapping[str, Any]) -> Any:
    if "stringValue" in piece:
        return _Words([string(piece["stringValue"])])
    return next((piece[name] for name in ("numberValue", "boolValue") if name in piece), None)


def _steps(path: str) -> list[str | int]:
    return [int(at) if at else name or quoted for name, at, quoted in _STEP.findall(path)]


def _with(whole: Any, steps: list[str | int], value: Any) -> Any:
    """`whole` with the value at the end of these steps. A list grows by one: whoever skips places gets the next."""
    if not steps:
        if not (isinstance(whole, _Words) and isinstance(value, _Words)):
            return value
        whole.extend(value)
        return whole
    if len(steps) > DEEPEST:
        return whole
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        items = whole if type(whole) is list else []
        if step < len(items):
            items[step] = _with(items[step], rest, value)
        else:
            items.append(_with(None, rest, value))
        return items
    fields = mapping(whole)
    fields[step] = _with(fields.get(step), rest, value)
    return fields


def _joined(value: Any) -> Any:
    if isinstance(value, _Words):
        return "".join(value)
    if isinstance(value, list):
        return [_joined(item) for item in value]
    return {name: _joined(item) for name, item in value.items()} if isinstance(value, dict) else value
