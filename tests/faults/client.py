"""How the load talks to the webs: through a balancer of its own, and again where an answer was lost on its way.

It does what a careful browser or program does. A refused connection goes to the next web; a broken one is asked again
under the same key until there is an answer, so that nothing depends on which of the two sides of a crash it fell.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from .people import CANARY, Home
from .stack import Stack

PATIENCE = 60.0
"""Seconds that a request is made again for before it is given up as of unknown outcome."""
FIRST_PAUSE, LONGEST_PAUSE = 0.3, 2.5
OF_THE_PROVIDER = '"provider_'
"""The type of an error that says what a provider did: an answer like any other."""
AGAIN = "Send it again"
SECRET = re.compile(f"{CANARY}|Traceback \\(most recent call last\\)|psycopg2\\.|sqlalchemy\\.exc")
ERROR_ID = re.compile(r"\b[0-9a-f]{12}\b")


@dataclass(frozen=True)
class Answered:
    """What came back for one request, as much of it as is needed. Status 0: nobody knows whether it was taken."""

    status: int
    text: str
    headers: Any = field(default_factory=dict)

    @property
    def is_fine(self) -> bool:
        return 200 <= self.status < 400


@dataclass
class Manners:
    """What was seen of the product's answers: I9, and what a drain broke."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    rude: list[str] = field(default_factory=list)
    """Answers that hold a secret or a traceback, and 5xx without an id or a word."""
    drained: list[str] = field(default_factory=list)
    """5xx and broken answers while programs were only asked to leave."""
    draining: int = 0

    def note(self, what: str, status: int, text: str) -> None:
        self.statuses[status] += 1
        if SECRET.search(text) or (status >= 500 and not self._says_why(text)):
            self.rude.append(f"{status} {what}: {text[:300]}")
        if status >= 500 and self.draining and OF_THE_PROVIDER not in text:
            self.drained.append(f"{status} {what}: {text[:200]}")

    def breaks(self, what: str, error: Exception) -> None:
        """A connection that had waited for its next request may be closed at the moment when that is sent; whoever
        balances asks the next web then, as with one that is refused."""
        self.broken[type(error).__name__] += 1
        if self.draining and "without sending a response" not in str(error):
            self.drained.append(f"{type(error).__name__} {what}: {error}")

    @staticmethod
    def _says_why(text: str) -> bool:
        return bool(ERROR_ID.search(text)) or '"message"' in text or text.startswith("no way to")

    @contextmanager
    def drain(self) -> Iterator[None]:
        """While inside, nothing may be lost: nobody was killed."""
        self.draining += 1
        try:
            yield
        finally:
            self.draining -= 1


class Client:
    """One organization's browser and program, safe to use from many threads."""

    def __init__(self, stack: Stack, home: Home, manners: Manners, stopping: threading.Event):
        self.stack, self.home, self.manners, self.stopping = stack, home, manners, stopping
        self._turn = itertools.count()
        limits = httpx2.Limits(max_connections=400, max_keepalive_connections=40)
        self.http = httpx2.Client(trust_env=False, timeout=httpx2.Timeout(130, connect=3), limits=limits)

    # -- a browser -------------------------------------------------------------------------------

    def get(self, path: str) -> Answered:
        return self._insist("GET", path, headers={"Cookie": self.home.cookie})

    def submit(self, path: str, form: dict[str, Any], patience: float = PATIENCE, through: str = "") -> Answered:
        """A form, made once more as long as nobody knows what became of it: it carries its own key. `through`: a web's
        address, rather than whichever is next."""
        data = {"csrf_token": self.home.csrf, **form}
        return self._insist("POST", path, patience, through=through, headers=self.home.headers, data=data)

    @contextmanager
    def watching(self, execution_id: str, after: str = "") -> Iterator[httpx2.Response]:
        """The events of a run, as a page follows them. Raises httpx2.HTTPError."""
        headers = {"Cookie": self.home.cookie} | ({"Last-Event-ID": after} if after else {})
        url = f"{self._next()}{self.home.url}/executions/{execution_id}/events"
        with self.http.stream("GET", url, headers=headers, timeout=20) as response:
            yield response

    # -- a program -------------------------------------------------------------------------------

    def complete(self, body: dict[str, Any], key: str, patience: float = PATIENCE) -> Answered:
        """A whole answer of the gateway, asked for until there is one."""
        headers = {"Authorization": f"Bearer {self.home.token}", "Idempotency-Key": key}
        return self._insist("POST", "/v1/chat/completions", patience, headers=headers, json=body, until_over=True)

    @contextmanager
    def streaming(self, body: dict[str, Any], key: str) -> Iterator[httpx2.Response]:
        headers = {"Authorization": f"Bearer {self.home.token}", "Idempotency-Key": key}
        with self.http.stream(
            "POST", f"{self._next()}/v1/chat/completions", headers=headers, json=body | {"stream": True}
        ) as response:
            yield response

    # -- inside ----------------------------------------------------------------------------------

    def _next(self) -> str:
        webs = self.stack.webs
        return f"http://127.0.0.1:{webs[next(self._turn) % len(webs)].port}"

    def _insist(
        self,
        method: str,
        path: str,
        patience: float = PATIENCE,
        until_over: bool = False,
        through: str = "",
        **options: Any,
    ) -> Answered:
        ends_at, what = time.monotonic() + patience, f"{method} {path}"
        refused, pause = 0, FIRST_PAUSE
        while True:
            try:
                answer = self.http.request(method, f"{through or self._next()}{path}", **options)
                self.manners.note(what, answer.status_code, answer.text)
                is_open = answer.status_code == 409 and (until_over or AGAIN in answer.text)
                if not is_open and (answer.status_code < 500 or OF_THE_PROVIDER in answer.text):
                    return Answered(answer.status_code, answer.text, answer.headers)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                refused += 1
                if refused < len(self.stack.webs):
                    continue  # the balancer tries the next one at once
            except httpx2.HTTPError as error:
                self.manners.breaks(what, error)
            refused = 0
            if time.monotonic() > ends_at or self.stopping.wait(pause):
                return Answered(0, "")
            pause = min(pause * 1.6, LONGEST_PAUSE)
