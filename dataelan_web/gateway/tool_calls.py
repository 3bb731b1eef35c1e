"""Calls of tools and their results: ids for providers that give theirs none (Gemini), since clients answer a call by
its id; and what a result says and shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from ..models import Execution
from ..models.records import RunRecord
from ..router.types import Part, TextPart


def call_id(execution: Execution | RunRecord, index: int, prefix: str = "call_") -> str:
    return f"{prefix}{execution.id.hex}_{index}"


def split(parts: Sequence[Part]) -> tuple[str, list[Part]]:
    """(what a result says, what follows from its first picture or file on): see ToolResult.shown."""
    said = [*takewhile(lambda part: isinstance(part, TextPart), parts)]
    shown = [part for part in parts[len(said) :] if part != TextPart("")]
    return "".join(part.text for part in said if isinstance(part, TextPart)), shown
