"""The simulated provider with a memory that outlives it: what it was asked, and what it would bill for.

    DATAELAN_FAULT_CALLS=/path/calls.jsonl granian --interface asgi tests.faults.provider:app

A line when a call was taken, and one when it ended. What a killed provider was answering has no second line: nobody
knows then what it would bill.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from dataelan_web.local.simulated.answers import pieces
from dataelan_web.local.simulated.request import parse
from dataelan_web.local.simulated.server import app as simulated

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

THINKS = "simulated-thoughtful"
REFUSED = 500
LATELY = 1.0
"""Seconds. What was said in the last of them may have been on its way when its reader died."""
MARK = re.compile(r"\[f-[0-9a-z-]+\]")
"""How a prompt of the fault suite says which one it is."""


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] != "http" or scope["path"] != "/v1/chat/completions":
        return await simulated(scope, receive, send)
    body = await _whole(receive)
    call = _Call(body)

    async def again() -> Message:
        nonlocal body
        if body is not None:
            message, body = {"type": "http.request", "body": body, "more_body": False}, None
            return message
        return await receive()

    async def heard(message: Message) -> None:
        await send(_without_thoughts(message) if call.is_stream and call.thinks else message)
        call.hear(message)

    try:
        await simulated(scope, again, heard)
    finally:
        call.end()


def _without_thoughts(message: Message) -> Message:
    """As most providers do: whoever reads it hears that something goes on, and what it came to at the end."""
    events = message.get("body", b"").split(b"\n\n")
    told = [b": thinking" if b'"reasoning_content"' in event else event for event in events]
    return {**message, "body": b"\n\n".join(told)} if "body" in message else message


async def _whole(receive: Receive) -> bytes:
    chunks, more = [], True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


class _Call:
    """One call, and all that was handed to the caller's connection so far."""

    def __init__(self, body: bytes):
        self.id, self.status, self.is_whole, self.is_stream = uuid.uuid4().hex, 0, False, False
        self.text: list[str] = []
        self.pieces: list[float] = []
        self.times: list[float] = []
        """When each was made, by the clock that all share."""
        self.usage, self.left = None, b""
        request = parse(body)
        found = MARK.search(request.prompt)
        self.mark, self.input, self.thinks = found[0] if found else "", request.tokens, request.model == THINKS
        _write({"call": self.id, "mark": self.mark, "at": time.time(), "input": self.input})

    def hear(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.is_stream = any(b"event-stream" in value for _, value in message["headers"])
            return
        self.is_whole = not message.get("more_body", False)
        self.left += message.get("body", b"")
        end = b"\n\n" if self.is_stream else b""
        *events, self.left = self.left.split(end) if end else ([self.left, b""] if self.is_whole else [self.left])
        for event in events:
            self._read(event.removeprefix(b"data: "))

    def _read(self, event: bytes) -> None:
        try:
            document = json.loads(event)
            if "error" in document and not self.pieces:
                self.status = REFUSED  # in a 200 answer that holds nothing else
            for choice in document.get("choices", ()):
                said = choice.get("delta") or choice.get("message") or {}
                for part in (said.get("reasoning_content"), said.get("content")):
                    if part:
                        self.pieces.append(time.monotonic())
                        self.times.append(round(time.time(), 2))
                self.text.append(said.get("content") or "")
            self.usage = document.get("usage") or self.usage
        except (ValueError, AttributeError):
            pass  # spoiled on purpose

    @property
    def _output(self) -> int | None:
        """Tokens made for it. None: it was to get all of them at once, and got none."""
        if self.is_stream or self.status >= 400:
            return len(self.pieces)
        return len(pieces("".join(self.text))) if self.is_whole else None

    def end(self) -> None:
        reported = self.usage if self.is_whole else None
        _write(
            {
                "call": self.id,
                "mark": self.mark,
                "ended": time.time(),
                "status": self.status,
                "whole": self.is_whole,
                "reported": reported,
                "output": self._output,
                "early": sum(at < time.monotonic() - LATELY for at in self.pieces),
                "times": self.times,
                "text": "".join(self.text),
            }
        )


_file = os.open(os.environ["DATAELAN_FAULT_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _write(line: dict[str, Any]) -> None:
    """One write, which the kernel appends as a whole: a killed process loses none that it made."""
    os.write(_file, json.dumps(line).encode() + b"\n")
