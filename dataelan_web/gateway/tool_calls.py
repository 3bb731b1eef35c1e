"""Ids of tool calls, for providers that give theirs none (Gemini): clients answer a call by its id."""

from __future__ import annotations

from ..models import Execution


def call_id(execution: Execution, index: int, prefix: str = "call_") -> str:
    return f"{prefix}{execution.id.hex}_{index}"
