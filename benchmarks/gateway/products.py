"""What is measured: something that answers chat completions at an address, and the processes it consists of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from ..stack import free_port
from .upstream import INSTANT

HERE = Path(__file__).parent
STARTS_WITHIN = 120.0
"""Seconds."""


class NotThere(Exception):
    """It cannot be measured here; the message says why, in a few words."""


@dataclass(frozen=True)
class Product:
    name: str
    url: str
    """Of chat completions."""
    headers: Mapping[str, str]
    pid: int
    """The process that all its others come from."""
    says_done: bool = True
    """Does it end a stream with OpenAI's [DONE]?"""


@contextmanager
def upstream() -> Iterator[Product]:
    """The provider that all of them ask; asked directly, it is one of what is measured."""
    port = free_port()
    with running([sys.executable, str(HERE / "upstream.py"), str(port)]) as process:
        product = Product("direct", f"http://127.0.0.1:{port}/v1/chat/completions", {}, process.pid)
        await_answer(product, process)
        yield product


def base(product: Product) -> str:
    return product.url.removesuffix("/chat/completions")


@contextmanager
def running(
    command: list[str], log: Path = Path(os.devnull), environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """What it says goes to `log`. It is gone after, with all it started."""
    with open(log, "wb") as file:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def await_answer(product: Product, process: subprocess.Popen[bytes]) -> None:
    """Raises NotThere where it ends, or does not answer one question in time."""
    deadline, last = time.monotonic() + STARTS_WITHIN, "nothing answers"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotThere(f"does not start: it ended with {process.returncode}")
        with suppress(httpx2.HTTPError):
            answer = ask(product)
            if answer.status_code == 200:
                return
            last = f"{answer.status_code} {answer.text[:200]}"
        time.sleep(0.2)
    raise NotThere(f"does not start: {last}")


def ask(product: Product) -> httpx2.Response:
    asked = {"model": INSTANT, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
    return httpx2.post(product.url, json=asked, headers=product.headers, trust_env=False, timeout=30)
