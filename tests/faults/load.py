"""What people and programs do all day, each act with a mark of its own by which it is found again everywhere.

An act that gets no answer is done again under the same key, so each must come to exactly the executions it meant.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx2

from .client import Answered, Client
from .people import ELSE

RUN = re.compile(r'id="run-([0-9a-f-]{36})"')
SESSION = re.compile(r"/sessions/([0-9a-f-]{36})")
WATCHED_FOR = 130.0
MOST_TURNS = 5
"""Prompts in one session, so that conversations stay short, and no more wait for their turn than may."""


@dataclass
class Asked:
    """One act: `runs` executions were meant by it, or, where nobody heard an answer (`is_sure` False), at most so
    many. `client` is whose; `key` the gateway's."""

    mark: str
    kind: str
    runs: int = 1
    is_sure: bool = True


@dataclass(frozen=True)
class Same:
    """What was sent several times at once, and the runs or sessions that its answers speak of: one, not counting what
    limits refused outright, which gives its key back so that it can be sent again."""

    what: str
    ids: tuple[str, ...]


@dataclass
class Sessions:
    """The sessions of one organization that are not yet too long."""

    free: list[str] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, draw: float) -> str | None:
        with self.lock:
            if not self.free:
                return None
            found = self.free[int(draw * len(self.free))]
            self.used[found] = self.used.get(found, 0) + 1
            if self.used[found] >= MOST_TURNS:
                self.free.remove(found)
            return found

    def add(self, id: str) -> None:
        with self.lock:
            self.free.append(id)


class Load:
    """Acts, drawn from a seed and done by a pool of threads."""

    def __init__(self, clients: Sequence[Client], seed: int, threads: int = 40, *, is_in_a_hurry: bool = False):
        self.clients, self.draw, self.is_in_a_hurry = clients, Random(seed), is_in_a_hurry
        self.prefix = f"{seed}-{uuid.uuid4().hex[:6]}"
        self.sessions = {client: Sessions() for client in clients}
        self.asked: list[Asked] = []
        self.same: list[Same] = []
        self.problems: list[str] = []
        self._number = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._open: list[Future[None]] = []

    # -- doing -----------------------------------------------------------------------------------

    def do(self, act: Callable[..., None], *rest: Any) -> Future[None]:
        """In a thread of the pool, with a Random of its own, so that the schedule does not depend on who is first."""
        client, draw = self.draw.choices(self.clients, (4, 1)[: len(self.clients)])[0], Random(self.draw.random())
        future = self._pool.submit(self._guarded, act, client, draw, rest)
        self._open = [one for one in self._open if not one.done()] + [future]
        return future

    def _guarded(self, act: Callable[..., None], client: Client, draw: Random, rest: tuple[Any, ...]) -> None:
        try:
            act(self, client, draw, *rest)
        except Exception as error:
            self.problems.append(f"{act.__name__}: {type(error).__name__}: {error}")

    def ordinary(self) -> None:
        """One act of an ordinary day."""
        acts = (run, first_prompt, whole, streamed, watched, long_answer)
        self.do(self.draw.choices(acts, (5, 1, 2, 2, 1, 0 if self.is_in_a_hurry else 0.2))[0])

    def settle(self, seconds: float) -> bool:
        """Wait for the acts that are being done. False: some are still."""
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at and any(not one.done() for one in self._open):
            time.sleep(0.05)
        return all(one.done() for one in self._open)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    # -- remembering -----------------------------------------------------------------------------

    def mark(self) -> str:
        with self._lock:
            self._number += 1
            return f"[f-{self.prefix}-{self._number}]"

    def meant(self, mark: str, kind: str, *, runs: int = 1, is_sure: bool = True) -> None:
        self.asked.append(Asked(mark, kind, runs, is_sure))

    def heard(self, mark: str, kind: str, answer: Answered) -> None:
        """An act that means one execution, unless it was refused in words."""
        if answer.status == 0:
            self.meant(mark, kind, is_sure=False)
        elif answer.is_fine:
            self.meant(mark, kind)
        else:
            self.meant(mark, kind, runs=0)
            self.problems.append(f"{kind} was answered {answer.status}: {answer.text[:200]}")

    def session(self, client: Client, draw: Random) -> str:
        """One that is there, or a new one."""
        if found := self.sessions[client].take(draw.random()):
            return found
        id = self.new_session(client)
        self.sessions[client].add(id)
        return id

    def new_session(self, client: Client, through: str = "") -> str:
        path = f"{client.home.url}/projects/{client.home.project_id}/sessions"
        answer = client.submit(path, {"model_type": "TEXT"}, through=through)
        if id := session_in(answer):
            return id
        raise LookupError(f"no session was made: {answer.status}")


def session_in(answer: Answered) -> str:
    place = answer.headers.get("HX-Redirect") or answer.headers.get("Location") or ""
    found = SESSION.search(place)
    return found[1] if found else ""


def words(mark: str, draw: Random, directive: str = "") -> str:
    """A prompt that is answered in one to five seconds, unless it is directed otherwise."""
    tokens, rate = draw.randrange(8, 60), draw.choice((10, 15, 25))
    return f"!simulate {directive or f'tokens={tokens} rate={rate}'}\n{mark} " + "Tell me more. " * draw.randrange(1, 9)


def form(mark: str, draw: Random, model: str, directive: str = "") -> dict[str, Any]:
    return {
        "text": words(mark, draw, directive),
        "model": model,
        "max_tokens": "200",
        "submission": uuid.UUID(int=draw.getrandbits(128)).hex,
    }


def body(mark: str, draw: Random, model: str, directive: str = "") -> dict[str, Any]:
    messages = [{"role": "user", "content": words(mark, draw, directive)}]
    return {"model": model, "messages": messages, "max_tokens": 200}


def key(draw: Random) -> str:
    return f"{draw.getrandbits(96):x}"


def start(load: Load, client: Client, draw: Random, kind: str, mark: str, model: str, directive: str = "") -> str:
    """A run in some session; its id, or nothing when no answer was heard."""
    path = f"{client.home.url}/sessions/{load.session(client, draw)}/executions"
    answer = client.submit(path, form(mark, draw, model, directive))
    load.heard(mark, kind, answer)
    found = RUN.search(answer.text)
    return found[1] if found else ""


# -- an ordinary day -----------------------------------------------------------------------------


def run(load: Load, client: Client, draw: Random) -> None:
    start(load, client, draw, "run", load.mark(), client.home.model("simulated-fast"))


def first_prompt(load: Load, client: Client, draw: Random) -> None:
    """A session that begins with its first prompt."""
    mark = load.mark()
    path = f"{client.home.url}/projects/{client.home.project_id}/sessions"
    answer = client.submit(path, form(mark, draw, client.home.model("simulated-fast")) | {"model_type": "TEXT"})
    load.heard(mark, "first prompt", answer)
    if id := session_in(answer):
        load.sessions[client].add(id)


def watched(load: Load, client: Client, draw: Random) -> None:
    """A run whose page stays open to its end."""
    id = start(load, client, draw, "watched", load.mark(), client.home.model("simulated-fast"))
    if not id:
        return
    ends_at = time.monotonic() + WATCHED_FOR
    while time.monotonic() < ends_at:
        try:
            with client.watching(id) as events:
                if "event: done" in "".join(events.iter_text()):
                    return
        except httpx2.HTTPError as error:
            client.manners.broken[f"watch: {type(error).__name__}"] += 1
        if client.stopping.wait(1.0):
            return
    load.problems.append(f"the page of {id} never came to its end")


def long_answer(load: Load, client: Client, draw: Random) -> None:
    """One that takes 45 seconds, longer than most faults."""
    start(load, client, draw, "long", load.mark(), client.home.model(f"simulated-fast{ELSE}"), "tokens=180 rate=4")


def whole(load: Load, client: Client, draw: Random) -> None:
    """A program that asks for a whole answer, and again under its key until it has one, or a word why not."""
    mark = load.mark()
    complete(load, client, body(mark, draw, client.home.model("simulated-fast")), key(draw), mark, "gateway")


def complete(load: Load, client: Client, asked: dict[str, Any], its_key: str, mark: str, kind: str) -> Answered:
    answer = client.complete(asked, its_key)
    load.meant(mark, kind, is_sure=answer.status != 0)
    return answer


def streamed(load: Load, client: Client, draw: Random) -> None:
    """… or for a stream; one that breaks off is asked for again under its key, and answered from the record."""
    mark, its_key = load.mark(), key(draw)
    asked = body(mark, draw, client.home.model("simulated-fast"))
    try:
        with client.streaming(asked, its_key) as answer:
            text = answer.read().decode(errors="replace")
            client.manners.note("stream", answer.status_code, text)
        if answer.status_code < 500 and ("[DONE]" in text or '"error"' in text):
            return load.meant(mark, "gateway stream")
    except (httpx2.ConnectError, httpx2.ConnectTimeout):
        pass
    except httpx2.HTTPError as error:
        client.manners.breaks("stream", error)
    complete(load, client, asked | {"stream": True}, its_key, mark, "gateway stream")
