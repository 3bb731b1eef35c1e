"""A session as a document for programs: docs/session-export.md says what is in it, and what stays as it is.

A conversation says everything before once more with every run. Here each message stands once, in `messages`, and a
run names those it sent by their places.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ..models import NANO, Asset, CopiedAnswer, Execution, PromptSession, now
from ..playground.conversation import Card

FORMAT, VERSION = "dataelan.session", 1
TOKENS = ("input", "cache_read", "cache_write", "output", "reasoning")
_BYTES = ("data", "asset")


class Messages:
    """Each distinct message once, in the order in which it was first said."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self._places: dict[str, int] = {}

    def places(self, messages: Iterable[dict[str, Any]]) -> list[int]:
        return [self._place(_message(message)) for message in messages]

    def _place(self, message: dict[str, Any]) -> int:
        key = json.dumps(message, sort_keys=True)
        if key not in self._places:
            self._places[key] = len(self.said)
            self.said.append(message)
        return self._places[key]


def document(session: PromptSession, cards: Iterable[Card]) -> dict[str, Any]:
    messages = Messages()
    runs = [_one(card, messages) for card in cards]
    origin = session.forked_from
    return {
        "format": FORMAT,
        "version": VERSION,
        "exported_at": _time(now()),
        "session": {
            "id": str(session.id),
            "title": session.title,
            "type": session.model_type.value,
            "tags": session.tags,
            "created_at": _time(session.created_at),
            "forked_from": {"id": str(origin.id), "title": origin.title} if origin else None,
        },
        "runs": runs,
        "messages": messages.said,
    }


def dollars(nano: int | None) -> str | None:
    """Exact, as text: a float would not be. None: unknown."""
    return None if nano is None else f"{Decimal(nano) / NANO:f}"


def _run(run: Execution, messages: Messages) -> dict[str, Any]:
    request = run.body.request
    return {
        "id": str(run.id),
        "is_copy": False,
        "continues": str(run.continues_id) if run.continues_id else None,
        "prompt": _prompt(run),
        "origin": run.origin.value,
        "state": run.state.value,
        "requested": run.requested,
        "model": {"provider": run.provider.slug, "name": run.model.name} if run.model and run.provider else None,
        "parameters": {name: value for name, value in request.items() if name != "messages" and value not in ([], {})},
        "messages": messages.places(request.get("messages", ())),
        "answer": {
            "text": run.body.text,
            "reasoning": run.body.reasoning,
            "tool_calls": run.body.tool_calls,
            "segments": run.body.segments,
            "files": _files(run.assets),
            "finish": run.finish,
            "error": run.body.error,
        },
        "tokens": {name: getattr(run, f"tokens_{name}") for name in TOKENS},
        "measures": run.measures,
        "cost_usd": dollars(run.cost),
        "times": {
            "created": _time(run.created_at),
            "started": _time(run.started_at),
            "first_token": _time(run.first_token_at),
            "finished": _time(run.finished_at),
        },
    }


def _one(card: Card, messages: Messages) -> dict[str, Any]:
    if isinstance(card, CopiedAnswer):
        return _copy(card, messages)
    return _blinded(_run(card, messages)) if card.blind_in else _run(card, messages)


def _blinded(run: dict[str, Any]) -> dict[str, Any]:
    """A run of a blind comparison that nobody decided: without what would tell which model it was."""
    times = {name: at for name, at in run["times"].items() if name == "created"}
    return run | {"requested": None, "model": None, "tokens": {}, "measures": {}, "cost_usd": None, "times": times}


def _copy(copy: CopiedAnswer, messages: Messages) -> dict[str, Any]:
    return {
        "id": str(copy.id),
        "is_copy": True,
        "prompt": _prompt(copy),
        "requested": copy.model_name,
        "messages": messages.places([copy.asked]),
        "answer": {"text": copy.text, "tool_calls": copy.tool_calls, "files": _files(copy.assets)},
        "times": {"finished": _time(copy.answered_at)},
    }


def _prompt(card: Card) -> dict[str, Any] | None:
    """Runs of one prompt are its branches: they have its id in common."""
    if card.prompt is None:
        return None
    return {
        "id": str(card.prompt.id),
        "text": card.prompt.text,
        "author": card.prompt.author.name if card.prompt.author else None,
        "created_at": _time(card.prompt.created_at),
        "files": _files(card.prompt.assets),
    }


def _files(assets: Sequence[Asset]) -> list[dict[str, Any]]:
    """What they are; the bytes are not in here."""
    return [
        {"name": asset.name, "media_type": asset.media_type, "size": asset.size, "sha256": asset.sha256}
        for asset in assets
    ]


def _message(message: dict[str, Any]) -> dict[str, Any]:
    parts = [{name: value for name, value in part.items() if name not in _BYTES} for part in message["parts"]]
    return {"role": message["role"], "parts": parts}


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
