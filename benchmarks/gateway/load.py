"""Who asks: as many programs at once as one is told, each over one connection of its own that is kept open.

    python benchmarks/gateway/load.py '{"url": "http://127.0.0.1:8000/v1/chat/completions", …}'

It needs nothing but Python, and takes little of the machine, which it shares with what it measures. Every answer is
looked at: its status, and whether all the words are there, in order, and its end. It prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

WORDS = [f"w{place:02} " for place in range(50)]
"""As upstream.py says them."""
ALL_WORDS = "".join(WORDS).encode()
PATIENCE = 60
"""Seconds that whoever was asked has for the last answers."""
END = b"\r\n0\r\n\r\n"


@dataclass
class Asked:
    url: str
    headers: dict[str, str]
    model: str
    connections: int
    seconds: float = 4.0
    """During which answers are counted; each connection asks again as soon as it was answered."""
    warm: float = 1.0
    """Before that."""
    streams: bool = False
    """Each connection asks once, all at the same moment."""
    says_done: bool = True
    """Does whoever is asked end a stream with OpenAI's [DONE]?"""

    @property
    def request(self) -> bytes:
        parts = urlsplit(self.url)
        body = {"model": self.model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
        said = json.dumps(body | ({"stream": True} if self.streams else {}))
        fields = {"host": parts.netloc, "content-type": "application/json", "content-length": str(len(said))}
        head = "".join(f"{name}: {value}\r\n" for name, value in (fields | self.headers).items())
        return f"POST {parts.path} HTTP/1.1\r\n{head}\r\n{said}".encode()


@dataclass
class Tally:
    times: list[float] = field(default_factory=list)
    """Seconds until the answer, or until a stream's first word."""
    answered: int = 0
    """All of them, also those of before and after the time that counts."""
    faults: Counter[str] = field(default_factory=Counter)


class Caller(asyncio.Protocol):
    """One connection. `done` is told of each whole answer: (its status and headers, its body, when it was asked)."""

    def __init__(self, request: bytes):
        self.request, self.loop = request, asyncio.get_running_loop()
        self.began = 0.0
        self.left: asyncio.Future[None] = self.loop.create_future()
        self.out: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.out = transport  # type: ignore[assignment]

    def ask(self) -> None:
        self.began = time.perf_counter()
        self.out.write(self.request)  # type: ignore[union-attr]

    def finish(self) -> None:
        self.began = 0.0
        if not self.left.done():
            self.left.set_result(None)


class Again(Caller):
    """Asks as soon as it was answered, until the time is over."""

    def __init__(self, asked: Asked, request: bytes, tally: Tally, from_: float, until: float):
        super().__init__(request)
        self.asked, self.tally, self.from_, self.until = asked, tally, from_, until
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._came = b""
        self.ask()

    def data_received(self, data: bytes) -> None:
        self._came = self._came + data if self._came else data
        head, found, rest = self._came.partition(b"\r\n\r\n")
        if not found:
            return
        fields = head.lower()
        at = fields.find(b"content-length:")
        if at >= 0:
            body = rest if len(rest) >= int(fields[at + 15 :].split(b"\r\n", 1)[0]) else None
        else:
            body = b"".join(unchunked(rest)) if (b"\r\n" + rest).endswith(END) else None
        if body is not None:
            self._came = b""
            self._answered(head, body, b"connection: close" in fields)

    def _answered(self, head: bytes, body: bytes, closes: bool) -> None:
        now = time.perf_counter()
        self.tally.answered += 1
        if head[9:12] != b"200":
            self.tally.faults[f"{head[9:12].decode()}: {body[:200].decode(errors='replace')}"] += 1
        elif ALL_WORDS not in body:
            self.tally.faults["not the whole answer"] += 1
        elif self.from_ <= now < self.until:
            self.tally.times.append(now - self.began)
        if now >= self.until:
            self.finish()
        elif not closes:
            self.ask()
        else:
            self.began = 0.0

    def connection_lost(self, error: Exception | None) -> None:
        if self.began:
            self.tally.faults["the connection ended before the answer"] += 1
        if self.left.done() or time.perf_counter() >= self.until:
            self.finish()
        else:
            self.loop.create_task(self._anew())

    async def _anew(self) -> None:
        self.began = 0.0
        try:
            await connected(self.loop, self.asked, self)
        except OSError:
            self.tally.faults["no connection"] += 1
            self.finish()


class Once(Caller):
    """Asks for one stream and keeps what came; it is looked at when all is over."""

    def __init__(self, request: bytes):
        super().__init__(request)
        self.first, self.pieces, self._tail = 0.0, list[bytes](), b""

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        if not self.first and b"w00" in b"".join(self.pieces):
            self.first = time.perf_counter() - self.began
        self._tail = (self._tail + data)[-len(END) :]
        if self._tail == END:
            self.finish()

    def connection_lost(self, error: Exception | None) -> None:
        self.finish()

    def fault(self, says_done: bool) -> str:
        """Empty where all came."""
        head, _, rest = b"".join(self.pieces).partition(b"\r\n\r\n")
        if head[9:12] != b"200":
            return f"{head[9:12].decode() or 'no answer'}: {rest[:200].decode(errors='replace')}"
        if not (b"\r\n" + rest).endswith(END):
            return "no end"
        lines = b"".join(unchunked(rest)).replace(b"\r\n", b"\n").decode().split("\n")
        data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
        if (data[-1:] == ["[DONE]"]) is not says_done:
            return "no end marker" if says_done else "an end marker that it is said not to have"
        documents = (json.loads(one) for one in data if one != "[DONE]")
        said = [word for document in documents for word in told(document)]
        return "" if said == WORDS else f"{len(said)} pieces, not the {len(WORDS)} in order"


def told(document: dict[str, Any]) -> list[str]:
    return [text for choice in document.get("choices") or () if (text := choice["delta"].get("content"))]


def unchunked(rest: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(rest):
        ends = rest.index(b"\r\n", at)
        length = int(rest[at:ends].split(b";")[0], 16)
        found.append(rest[ends + 2 : ends + 2 + length])
        at = ends + 2 + length + 2
    return found


async def connected(loop: asyncio.AbstractEventLoop, asked: Asked, caller: Caller) -> None:
    parts = urlsplit(asked.url)
    await loop.create_connection(lambda: caller, parts.hostname or "", parts.port or 80)


async def rate(asked: Asked) -> dict[str, Any]:
    loop, tally, now = asyncio.get_running_loop(), Tally(), time.perf_counter()
    from_ = now + asked.warm
    until, request = from_ + asked.seconds, asked.request
    callers = [Again(asked, request, tally, from_, until) for _ in range(asked.connections)]
    print("begun", flush=True)
    await asyncio.gather(*(connected(loop, asked, caller) for caller in callers))
    _, late = await asyncio.wait([one.left for one in callers], timeout=asked.warm + asked.seconds + PATIENCE)
    if late:
        tally.faults["not answered in time"] += len(late)
    return summary(tally) | {"rate": len(tally.times) / asked.seconds}


async def streams(asked: Asked) -> dict[str, Any]:
    loop, request = asyncio.get_running_loop(), asked.request
    callers = [Once(request) for _ in range(asked.connections)]
    await asyncio.gather(*(connected(loop, asked, caller) for caller in callers))
    started = time.perf_counter()
    for caller in callers:
        caller.ask()
    print("begun", flush=True)
    await asyncio.wait([one.left for one in callers], timeout=PATIENCE)
    tally = Tally([one.first for one in callers if one.first], len(callers))
    took = time.perf_counter() - started
    tally.faults.update(fault for fault in (one.fault(asked.says_done) for one in callers) if fault)
    return summary(tally) | {"intact": len(callers) - tally.faults.total(), "took": took}


def summary(tally: Tally) -> dict[str, Any]:
    times = sorted(tally.times)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "answered": tally.answered,
        "p50": at(times, 0.5),
        "p99": at(times, 0.99),
        "faults": dict(tally.faults.most_common(5)),
        "processor": used.ru_utime + used.ru_stime,
    }


def at(ordered: list[float], share: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None


if __name__ == "__main__":
    wanted = Asked(**json.loads(sys.argv[1]))
    print(json.dumps(asyncio.run(streams(wanted) if wanted.streams else rate(wanted))))
