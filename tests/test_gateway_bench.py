"""The measuring of the gateway itself: its provider, its client, and what is said of the figures."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from benchmarks.gateway import load, upstream
from benchmarks.gateway.measures import Answers, Figures, Measured, Streams
from benchmarks.gateway.peers import LITELLM, peer
from benchmarks.gateway.products import NotThere, Product
from benchmarks.gateway.products import upstream as provider_running
from benchmarks.gateway.table import bars, row_of
from benchmarks.gateway.upstream import INSTANT, SLOW


@pytest.fixture(scope="module")
def provider() -> Iterator[Product]:
    with provider_running() as product:
        yield product


@pytest.fixture
def told() -> Iterator[list[bytes]]:
    """What a server answers to whatever it is asked; its address is put at its end."""
    answer: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.wfile.write(answer[0])

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answer += [b"", f"http://127.0.0.1:{server.server_port}/v1/chat/completions".encode()]
    yield answer
    server.shutdown()
    server.server_close()


def asked(url: str, **more: object) -> dict[str, object]:
    given = {"url": url, "headers": {}, "model": INSTANT, "connections": 3, "seconds": 0.3, "warm": 0.1} | more
    done = subprocess.run([sys.executable, load.__file__, json.dumps(given)], capture_output=True, check=True)
    said: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return said


def test_the_provider_and_the_client_understand_each_other(provider: Product) -> None:
    assert load.WORDS == upstream.WORDS
    at_once, late = asked(provider.url), asked(provider.url, model=SLOW)
    assert at_once["faults"] == late["faults"] == {}
    assert float(at_once["rate"]) > 100  # type: ignore[arg-type]
    assert float(late["p50"]) >= upstream.DELAY  # type: ignore[arg-type]
    streamed = asked(provider.url, streams=True)
    assert streamed["intact"] == 3
    assert streamed["faults"] == {}
    assert float(streamed["took"]) >= upstream.EVERY * len(upstream.WORDS)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("take", "put", "fault"),
    [
        (b"w07 ", b"w08 ", "50 pieces, not the 50 in order"),
        (b"[DONE]", b"[NONE]", "no end marker"),
        (b"\r\n0\r\n\r\n", b"\r\n", "no end"),
        (b"200 OK", b"500 No", "500: "),
    ],
)
def test_a_stream_that_is_not_whole_is_noticed(told: list[bytes], take: bytes, put: bytes, fault: str) -> None:
    told[0] = b"".join(upstream.PIECES[INSTANT]).replace(take, put)
    (said,) = asked(told[1].decode(), streams=True, connections=1)["faults"]  # type: ignore[misc,attr-defined]
    assert said.startswith(fault)


def test_an_answer_that_is_not_whole_is_noticed(told: list[bytes]) -> None:
    told[0] = upstream.WHOLE[INSTANT].replace(b"w07 ", b"w08 ").replace(b"200 OK", b"200 OK\r\nconnection: close")
    assert set(asked(told[1].decode(), connections=1)["faults"]) == {"not the whole answer"}  # type: ignore[call-overload]
    told[0] = b"HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno"
    assert set(asked(told[1].decode(), connections=1)["faults"]) == {"503: no"}  # type: ignore[call-overload]


def test_what_is_measured_of_a_product(provider: Product) -> None:
    measured = Measured(provider, seconds=0.3)
    answers = measured.rate(4)
    assert answers.rate > 100
    assert 0 < (answers.processor or 0) < 0.05
    measured.stream(5)
    assert 5e6 < sum(measured.figures.memory.values()) < 5e8
    assert measured.figures.faults == []


def test_who_is_not_installed_is_told_how(provider: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAELAN_BENCH_PEERS", "")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotThere, match="not installed: pip install"), peer(LITELLM, provider):
        pass
    assert row_of("LiteLLM", "not installed") == "| LiteLLM | not installed |"


def test_each_bar_is_met_or_not() -> None:
    fast = Figures({c: Answers(400, 0.004, 0.1, 0.002) for c in (1, 16, 64)}, streams={200: Streams(9, 10, 0.2, 1, 0)})
    slow = Figures({c: Answers(50, 0.02, 3, 0.02) for c in (1, 16, 64)})
    said = {line[11:].split("  ")[0]: line[2:9].strip() for line in bars({"one": fast, "litellm": slow})}
    assert said["one web process, LiteLLM = 1: requests/s at 16"] == "met"
    assert said["one web process: p99 at 64"] == "met"
    assert said["one web process: CPU a request"] == "met"
    assert said["one web process: 200 streams intact"] == "NOT MET"
    assert said["one web process: 200 streams, first word p50"] == "NOT MET"
    assert not any("Portkey" in name or "added" in name for name in said)
