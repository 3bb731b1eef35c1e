"""Access to the recorded traffic, which lies beside the checkout (or at DATAELAN_RECORDINGS) and is no part of it."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dataelan_web.router.providers import adapter
from dataelan_web.router.types import Adapter, Decoder, Event, Failure, Reasoning, Task, Text, ToolCall

RECORDINGS = Path(os.environ.get("DATAELAN_RECORDINGS") or Path(__file__).parents[3] / "shared" / "recordings")
# The recordings' name of a wire format -> our kind and task.
FORMATS = {
    "openai-chat": ("openai", Task.CHAT),
    "anthropic-messages": ("anthropic", Task.CHAT),
    "gemini-generate": ("google", Task.CHAT),
}
BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta",
}


def _index() -> list[dict[str, Any]]:
    path = RECORDINGS / "index.json"
    return json.loads(path.read_text()) if path.exists() else []


INDEX = _index()
IDS = [row["id"] for row in INDEX if row["api"] in FORMATS]
ANSWERS = [row["id"] for row in INDEX if row["api"] in FORMATS and row["status"] < 400]
LISTS = [row["id"] for row in INDEX if row["api"] == "models-list" and row["status"] < 400]
needs_recordings = pytest.mark.skipif(not INDEX, reason=f"the recordings are not at {RECORDINGS}")


@cache
def expectations() -> dict[str, dict[str, Any]]:
    return json.loads((RECORDINGS / "expected.json").read_text())


@cache
def answer(id: str) -> tuple[int, bytes]:
    response = json.loads((RECORDINGS / "corpus" / f"{id}.json").read_text())["response"]
    body = response["body"]
    return response["status"], base64.b64decode(body) if response["body_encoding"] == "base64" else body.encode()


def adapter_for(id: str) -> Adapter:
    kind, task = FORMATS[expectations()[id]["api"]]
    return adapter(kind, BASE_URLS[kind], task)


def decoder_for(id: str) -> Decoder:
    return adapter_for(id).decoder()


def decoded(decode: Decoder, body: bytes, size: int) -> tuple[list[Event], Failure | None]:
    """Every event, neighbouring deltas joined, and the failure if it ended in one."""
    events: list[Event] = []
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    try:
        for chunk in chunks:
            events.extend(decode(chunk, False))
        events.extend(decode(b"", True))
    except Failure as failure:
        return joined(events), failure
    return joined(events), None


def joined(events: Iterable[Event]) -> list[Event]:
    whole: list[Event] = []
    for event in events:
        last = whole[-1] if whole else None
        if isinstance(event, Text | Reasoning) and type(last) is type(event):
            whole[-1] = type(event)(last.delta + event.delta)
        elif isinstance(event, ToolCall) and isinstance(last, ToolCall) and last.index == event.index:
            whole[-1] = ToolCall(
                last.index, last.id + event.id, last.name + event.name, last.arguments + event.arguments
            )
        else:
            whole.append(event)
    return whole
