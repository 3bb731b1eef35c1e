"""F15, with answers longer than the grace once was: a deployment of all programs loses nothing, and interrupts nothing.

Times are a tenth of the real ones: answers of 12 s, and a grace of 3 s, as it was (30 and 40 s), for comparison.
"""

from __future__ import annotations

import subprocess
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import httpx2
import pytest

from .breakage import _listens
from .client import Client, Manners
from .load import RUN, Load, body, form
from .people import Home, settle_in
from .stack import Stack, running, until

pytestmark = [pytest.mark.slow, pytest.mark.kills, pytest.mark.xdist_group("faults")]

LONG = "tokens=120 rate=10"
AS_IT_WAS = {"DATAELAN_GRACE": "3"}


@dataclass
class Deployment:
    """All programs replaced under load: long answers that each of them had begun, and short ones all the time."""

    stack: Stack
    home: Home
    load: Load
    client: Client
    streams: list[str] = field(default_factory=list)
    """How each stream of a program ended: its last line."""
    refused: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    drained: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def long_answers(self, count: int = 6) -> None:
        """Half by pages, in the workers, half by programs, in the webs; each heard of when this returns."""
        draw, before = Random(7), self.count("running")
        for _ in range(count):
            session = self.load.new_session(self.client, "")
            asked = form(self.load.mark(), draw, self.home.model("simulated-fast"), LONG)
            answer = self.client.submit(f"{self.home.url}/sessions/{session}/executions", asked)
            assert RUN.search(answer.text), answer
            self._do(self._stream)
        until(lambda: self.count("running") >= before + 2 * count, 20, "the answers to begin")
        time.sleep(1)

    def short_answers(self) -> None:
        """A program that asks all the time, as clients do: a refused connection is tried once more."""
        self._do(self._ask_on)

    def replace(self, kind: str) -> list[subprocess.Popen[bytes]]:
        """Successors first; then the old ones are asked to leave."""
        old = []
        for runner in self.stack.webs if kind == "web" else self.stack.workers:
            tether = self.stack.succeed(runner)
            if runner.port:
                until(lambda runner=runner: _listens(runner), 30, f"{runner.name} to listen")
            else:
                until(lambda: self._workers() > len(old) + 1, 30, f"{runner.name} to take messages")
            tether.terminate()
            old.append(tether)
        return old

    def _workers(self) -> int:
        found = self.stack.valkey.zcount("dataelan:workers", self.stack.valkey.time()[0] - 4, "+inf")
        return int(str(found))

    def count(self, state: str) -> int:
        return int(self.stack.ask("SELECT count(*) FROM executions WHERE state = :state", state=state)[0][0])

    def states(self) -> Counter[str]:
        return Counter({row[0]: row[1] for row in self.stack.ask("SELECT state, count(*) FROM executions GROUP BY 1")})

    def end(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(60)
        until(lambda: self.count("running") + self.count("queued") == 0, 60, "all to end")

    # -- inside ----------------------------------------------------------------------------------

    def _do(self, act: object) -> None:
        thread = threading.Thread(target=act, daemon=True)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _stream(self) -> None:
        asked = body(self.load.mark(), Random(1), self.home.model("simulated-fast"), LONG)
        last = ""
        try:
            with self.client.streaming(asked, uuid.uuid4().hex) as answer:
                for line in answer.iter_lines():
                    last = line or last
        except httpx2.HTTPError as error:
            last = str(error)
        self.streams.append(last)

    def _ask_on(self) -> None:
        while not self.stopping.wait(0.1):
            asked = body(self.load.mark(), Random(1), self.home.model("simulated-instant"), "tokens=2")
            answer = self.client.complete(asked, uuid.uuid4().hex, patience=5)
            self.refused[str(answer.status)] += 1


def deployed(settings: dict[str, str]) -> Deployment:
    with running(settings=settings) as stack:
        home, _ = settle_in(stack, stack.app())
        manners = Manners()
        client = Client(stack, home, manners, threading.Event())
        it = Deployment(stack, home, Load([client], 1), client)
        it.short_answers()
        it.long_answers()
        with manners.drain():
            old = it.replace("worker") + it.replace("web")
            it.end()
            for tether in old:
                assert tether.wait(30) == 0, "nothing was killed"
        it.ended = it.states()
        it.drained = manners.drained
        return it


def test_a_deployment_loses_nothing_and_interrupts_nothing() -> None:
    it = deployed({})
    assert set(it.ended) == {"completed"}, it.ended
    assert it.streams == ["data: [DONE]"] * 6
    assert set(it.refused) == {"200"}
    assert it.drained == []


def test_with_the_grace_of_before_it_would_have_interrupted_some() -> None:
    it = deployed(AS_IT_WAS)
    assert it.ended["interrupted"] > 0, it.ended
    assert set(it.ended) == {"completed", "interrupted"}
