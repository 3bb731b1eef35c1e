"""A provider that answers at once: OpenAI's chat completions, whole or streamed, and nothing else.

    python benchmarks/gateway/upstream.py PORT

It needs nothing but Python, and takes as little of the machine as Python can: no framework, no parser of HTTP beyond
what the products under test send. What is asked of it stands in the model's name.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

INSTANT, SLOW = "gpt-4.1-mini", "gpt-4.1"
"""The second answers after DELAY. Both names have a price in every product's catalogue."""
DELAY = 0.2
WORDS = [f"w{place:02} " for place in range(50)]
EVERY = 0.02
"""Seconds before each of them, the first too, where they are streamed."""

HEAD = {"id": "chatcmpl-1", "created": 1700000000}
USAGE = {"prompt_tokens": 9, "completion_tokens": 50, "total_tokens": 59}


def http(content_type: str, more: str, body: bytes) -> bytes:
    return f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n{more}\r\n\r\n".encode() + body


def whole(model: str) -> bytes:
    message = {"role": "assistant", "content": "".join(WORDS)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    said = HEAD | {"object": "chat.completion", "model": model, "choices": [choice], "usage": USAGE}
    body = json.dumps(said).encode()
    return http("application/json", f"content-length: {len(body)}", body)


def event(document: dict[str, Any] | str) -> bytes:
    """In the framing of a chunked answer."""
    data = document if isinstance(document, str) else json.dumps(document)
    body = f"data: {data}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(body), body)


def pieces(model: str) -> list[bytes]:
    """What is written EVERY 20 ms; the last has the end with it."""
    head = HEAD | {"object": "chat.completion.chunk", "model": model}

    def piece(delta: dict[str, str], finish: str | None = None, **more: Any) -> bytes:
        return event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | more)

    said = [piece({"content": word}) for word in WORDS]
    said[0] = piece({"role": "assistant", "content": WORDS[0]})
    said[0] = http("text/event-stream", "transfer-encoding: chunked", said[0])
    said[-1] += piece({}, "stop", usage=USAGE) + event("[DONE]") + b"0\r\n\r\n"
    return said


WHOLE = {model: whole(model) for model in (INSTANT, SLOW)}
PIECES = {model: pieces(model) for model in (INSTANT, SLOW)}


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._came = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._out: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._came += data
        while (asked := self._next()) is not None:
            self._answer(json.loads(asked))

    def _next(self) -> bytes | None:
        """The body of a request that is there as a whole."""
        head, found, rest = self._came.partition(b"\r\n\r\n")
        if not found:
            return None
        fields = head.lower()
        if b"transfer-encoding: chunked" in fields:
            return self._chunked(rest)
        at = fields.find(b"content-length:")
        length = int(fields[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) < length:
            return None
        self._came = rest[length:]
        return rest[:length] or b"{}"

    def _chunked(self, rest: bytes) -> bytes | None:
        body = b""
        while True:
            size, found, rest = rest.partition(b"\r\n")
            length = int(size, 16) if found else 0
            if not found or len(rest) < length + 2:
                return None
            if not length:
                self._came = rest[2:]
                return body
            body, rest = body + rest[:length], rest[length + 2 :]

    def _answer(self, asked: dict[str, Any]) -> None:
        model = SLOW if asked.get("model") == SLOW else INSTANT
        if asked.get("stream"):
            self._loop.call_later(EVERY, self._tell, iter(PIECES[model]), self._loop.time() + EVERY)
        elif model == SLOW:
            self._loop.call_later(DELAY, self._write, WHOLE[model])
        else:
            self._write(WHOLE[model])

    def _tell(self, left: Any, due: float) -> None:
        """By a plan, so that a late piece does not make all after it late."""
        piece = next(left, None)
        if piece is not None and self._write(piece):
            self._loop.call_at(due + EVERY, self._tell, left, due + EVERY)

    def _write(self, data: bytes) -> bool:
        if self._out.is_closing():
            return False
        self._out.write(data)
        return True


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
