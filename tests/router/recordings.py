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
from dataelan_web.router.types import Adapter, Decoder, Event, Failure, Reasoning, Sound, Task, Text, ToolCall

RECORDINGS = Path(os.environ.get("DATAELAN_RECORDINGS") or Path(__file__).parents[3] / "shared" / "recordings")
# The recordings' name of a wire format -> our kind and task.
FORMATS = {
    "openai-chat": ("openai", Task.CHAT),
    "openai-responses": ("openai-responses", Task.CHAT),
    "openai-completions": ("openai-completions", Task.CHAT),
    "anthropic-messages": ("anthropic", Task.CHAT),
    "gemini-generate": ("google", Task.CHAT),
    "gemini-interactions": ("google-interactions", Task.CHAT),
    "bedrock-converse": ("bedrock", Task.CHAT),
    "bedrock-converse-stream": ("bedrock", Task.CHAT),
    "bedrock-invoke": ("bedrock-invoke", Task.CHAT),
    "bedrock-invoke-stream": ("bedrock-invoke", Task.CHAT),
    "cohere-chat-v2": ("cohere", Task.CHAT),
    "cohere-chat-v1": ("cohere-v1", Task.CHAT),
    "cohere-generate": ("cohere-generate", Task.CHAT),
    "ollama-chat": ("ollama", Task.CHAT),
    "ollama-generate": ("ollama-generate", Task.CHAT),
    "openai-images": ("openai", Task.IMAGE),
    "gemini-predict": ("google-predict", Task.IMAGE),
    "replicate-prediction": ("replicate", Task.IMAGE),
    "openai-tts": ("openai", Task.SPEECH),
    "openai-stt": ("openai", Task.TRANSCRIPTION),
    "elevenlabs-tts": ("elevenlabs", Task.SPEECH),
    "elevenlabs-stt": ("elevenlabs", Task.TRANSCRIPTION),
    "deepgram-tts": ("deepgram", Task.SPEECH),
    "deepgram-stt": ("deepgram", Task.TRANSCRIPTION),
    "openai-embeddings": ("openai", Task.EMBEDDING),
    "gemini-embed": ("google", Task.EMBEDDING),
    "cohere-embed": ("cohere", Task.EMBEDDING),
    "ollama-embed": ("ollama", Task.EMBEDDING),
    "rerank": ("openai", Task.RERANK),
    "openai-moderations": ("openai", Task.MODERATION),
}
# Where a format holds several tasks: its name and the exchange's modality in the index -> our kind and task.
FORMATS_BY_MODALITY = {
    ("gemini-predict", "embeddings"): ("google-predict", Task.EMBEDDING),
    ("bedrock-invoke", "embeddings"): ("bedrock", Task.EMBEDDING),
    ("bedrock-invoke", "rerank"): ("bedrock", Task.RERANK),
}
# Where those who offer a thing speak differently: the recordings' name of it and the provider -> our kind and task.
FORMATS_BY_PROVIDER = {("rerank", "cohere"): ("cohere", Task.RERANK)}
COUNTERS = {
    "anthropic-count-tokens": "anthropic",
    "gemini-count-tokens": "google",
    "openai-count-tokens": "openai",
    "bedrock-count-tokens": "bedrock",
}
BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "openai-responses": "https://api.openai.com/v1",
    "openai-completions": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta",
    "google-interactions": "https://generativelanguage.googleapis.com/v1beta",
    "google-predict": "https://aiplatform.googleapis.com/v1",
    "replicate": "https://api.replicate.com/v1",
    "cohere": "https://api.cohere.com/v2",
    "cohere-v1": "https://api.cohere.com",
    "cohere-generate": "https://api.cohere.com",
    "ollama": "http://localhost:11434/api",
    "ollama-generate": "http://localhost:11434",
    "bedrock": "https://bedrock-runtime.us-east-1.amazonaws.com",
    "bedrock-invoke": "https://bedrock-runtime.us-east-1.amazonaws.com",
    "elevenlabs": "https://api.elevenlabs.io/v1",
    "deepgram": "https://api.deepgram.com/v1",
}


def _index() -> list[dict[str, Any]]:
    path = RECORDINGS / "index.json"
    return json.loads(path.read_text()) if path.exists() else []


def format_of(row: dict[str, Any]) -> tuple[str, Task] | None:
    """The kind and task of an exchange, from its row in the index or its expectation."""
    by_provider = FORMATS_BY_PROVIDER.get((row["api"], row["provider"]))
    return by_provider or FORMATS_BY_MODALITY.get((row["api"], row["modality"])) or FORMATS.get(row["api"])


INDEX = _index()
ANSWERS = [row["id"] for row in INDEX if format_of(row) and row["status"] < 400]
LISTS = [row["id"] for row in INDEX if row["api"] == "models-list" and row["status"] < 400]
COUNTS = [row["id"] for row in INDEX if row["api"] in COUNTERS and row["status"] < 400]
BATCHES = [row["id"] for row in INDEX if row["api"] == "batches" and row["status"] < 400]
FILES = [row["id"] for row in INDEX if row["api"] == "files" and row["status"] < 400]
REFUSALS = [row["id"] for row in INDEX if row["status"] >= 400]
needs_recordings = pytest.mark.skipif(not INDEX, reason=f"the recordings are not at {RECORDINGS}")


def of_each_provider(ids: list[str]) -> dict[str, list[str]]:
    """The ids, which begin with the provider's name, by it."""
    found: dict[str, list[str]] = {}
    for id in ids:
        found.setdefault(id.partition(".")[0], []).append(id)
    return found


@cache
def expectations() -> dict[str, dict[str, Any]]:
    return json.loads((RECORDINGS / "expected.json").read_text())


@cache
def answer(id: str) -> tuple[int, bytes]:
    response = json.loads((RECORDINGS / "corpus" / f"{id}.json").read_text())["response"]
    body = response["body"]
    return response["status"], base64.b64decode(body) if response["body_encoding"] == "base64" else body.encode()


@cache
def headers(id: str) -> dict[str, str]:
    found = json.loads((RECORDINGS / "corpus" / f"{id}.json").read_text())["response"]["headers"]
    pairs = found.items() if isinstance(found, dict) else found
    return {str(name).lower(): str(value) for name, value in pairs}


def adapter_for(id: str) -> Adapter:
    found = format_of(expectations()[id])
    assert found, "only exchanges of known formats are tested"
    kind, task = found
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
        elif isinstance(event, Sound) and isinstance(last, Sound) and last.media_type == event.media_type:
            whole[-1] = Sound(last.media_type, last.content + event.content)
        elif isinstance(event, ToolCall) and isinstance(last, ToolCall) and last.index == event.index:
            whole[-1] = ToolCall(
                last.index, last.id + event.id, last.name + event.name, last.arguments + event.arguments
            )
        else:
            whole.append(event)
    return whole
