"""Faults of single calls: what providers do, what people do to a run, and what is sent twice. Each is one fault."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import httpx2

from .client import Answered, Client
from .load import RUN, WATCHED_FOR, Load, Same, body, complete, form, key, session_in, start
from .people import BREAKS, ELSE, KEYS_OWN, KINDS, REFUSALS, SPOILS, UNREACHABLE

Drill = Callable[[Load, Client, Random], None]
AT_ONCE = (2, 3, 5, 20)


# -- the provider does what it should not (F7, F8, F9) -------------------------------------------


def refused(load: Load, client: Client, draw: Random) -> None:
    """F7. By a status, or nobody is there at all."""
    kind = draw.choice((*REFUSALS, *KEYS_OWN, *UNREACHABLE))
    _fails(load, client, draw, f"simulated-fail-{kind}" if kind in KINDS else kind, "retry_after=1 tokens=20 rate=20")


def refused_once(load: Load, client: Client, draw: Random) -> None:
    """F7. The second call is answered: surely the first was not taken."""
    directive = f"fail=unavailable fail_times=1 key={uuid.uuid4().hex} tokens=20 rate=40"
    _fails(load, client, draw, "simulated-instant", directive)


def broken_off(load: Load, client: Client, draw: Random) -> None:
    """F8. In the middle of an answer, or an end that never comes; what would take minutes is stopped."""
    kind = draw.choice(BREAKS)
    directive = f"tokens=30 rate={400 if kind == 'slow_loris' else 20} after={_after(draw)}"
    if kind not in ("stall", "silent"):
        return _fails(load, client, draw, f"simulated-fail-{kind}", directive)
    mark = load.mark()
    model = client.home.model(f"simulated-fail-{kind}{ELSE if draw.random() < 0.5 else ''}")
    id = start(load, client, draw, kind, mark, model, directive)
    client.stopping.wait(draw.uniform(1, 4))
    if id:
        client.submit(f"{client.home.url}/executions/{id}/cancellation", {})


def stalls(load: Load, client: Client, draw: Random) -> None:
    """F8. Left alone: the idle deadline ends it after a minute."""
    directive = f"tokens=9 rate=20 after={draw.choice((0, 4))}"
    start(load, client, draw, "stall", load.mark(), client.home.model(f"simulated-fail-stall{ELSE}"), directive)


def spoilt(load: Load, client: Client, draw: Random) -> None:
    """F9. An answer that is not what it should be."""
    directive = f"tokens=20 rate=40 after={_after(draw)}"
    _fails(load, client, draw, f"simulated-fail-{draw.choice(SPOILS)}", directive)


def _after(draw: Random) -> int:
    """Pieces of the answer that come before: in half of the cases none, where another model could still be asked."""
    return draw.choice((0, draw.randrange(1, 12)))


def _fails(load: Load, client: Client, draw: Random, model: str, directive: str) -> None:
    """By itself, or with another model to go on with: which answers only where the first surely came to nothing."""
    mark, model = load.mark(), f"{model}{ELSE}" if draw.random() < 0.5 else model
    if draw.random() < 0.5:
        start(load, client, draw, model, mark, client.home.model(model), directive)
    else:
        asked = body(mark, draw, client.home.model(model), directive) | {"stream": draw.random() < 0.5}
        complete(load, client, asked, key(draw), mark, model)


# -- sent twice (F12) ----------------------------------------------------------------------------


def double_run(load: Load, client: Client, draw: Random) -> None:
    """F12. The same form, several times at once."""
    mark, session = load.mark(), load.session(client, draw)
    asked = form(mark, draw, client.home.model("simulated-fast"))
    path = f"{client.home.url}/sessions/{session}/executions"
    _one_run(load, mark, "double run", at_once(draw, lambda: client.submit(path, asked)))


def double_retry(load: Load, client: Client, draw: Random) -> None:
    """F12. The retry of one run, several times at once: one more run, not several."""
    mark = load.mark()
    id = start(load, client, draw, "double retry", mark, client.home.model("simulated-instant"), "tokens=5 rate=50")
    if not id:
        return
    again = {"submission": uuid.UUID(int=draw.getrandbits(128)).hex}
    answers = at_once(draw, lambda: client.submit(f"{client.home.url}/executions/{id}/retry", again))
    load.asked.pop(next(place for place, one in enumerate(load.asked) if one.mark == mark))
    heard = any(answer.is_fine for answer in answers)
    load.meant(mark, "double retry", runs=2, is_sure=heard)
    _same(load, answers, "double retry")


def double_first_prompt(load: Load, client: Client, draw: Random) -> None:
    """F12. A session with its first prompt, several times at once: one session, one run."""
    mark = load.mark()
    asked = form(mark, draw, client.home.model("simulated-fast")) | {"model_type": "TEXT"}
    path = f"{client.home.url}/projects/{client.home.project_id}/sessions"
    answers = at_once(draw, lambda: client.submit(path, asked))
    load.meant(mark, "double first prompt", is_sure=any(answer.is_fine for answer in answers))
    sessions = {session_in(answer) for answer in answers if answer.is_fine}
    load.same.append(Same(f"double first prompt {mark}", tuple(sessions)))


def double_call(load: Load, client: Client, draw: Random) -> None:
    """F12. A program's retries overtake its first call."""
    mark, its_key = load.mark(), key(draw)
    asked = body(mark, draw, client.home.model("simulated-fast"))
    answers = at_once(draw, lambda: client.complete(asked, its_key))
    load.meant(mark, "double call", is_sure=any(answer.status for answer in answers))
    said = {answer.text.partition('"content":')[2][:200] for answer in answers if answer.is_fine}
    if len(said) > 1:
        load.problems.append(f"double call {mark}: {len(said)} different answers")


def at_once(draw: Random, act: Callable[[], Answered]) -> list[Answered]:
    count = draw.choice(AT_ONCE)
    gate = threading.Barrier(count)

    def one(_: int) -> Answered:
        gate.wait()
        return act()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def _one_run(load: Load, mark: str, kind: str, answers: list[Answered]) -> None:
    load.meant(mark, kind, is_sure=any(answer.is_fine for answer in answers))
    _same(load, answers, f"{kind} {mark}")


def _same(load: Load, answers: list[Answered], what: str) -> None:
    runs = {found[1] for answer in answers if answer.is_fine and (found := RUN.search(answer.text))}
    load.same.append(Same(what, tuple(runs)))


# -- readers that leave, people who stop (F13, F14) ----------------------------------------------


def closed_page(load: Load, client: Client, draw: Random) -> None:
    """F13. The page is closed in mid-answer and opened again, twice."""
    id = start(load, client, draw, "closed page", load.mark(), client.home.model("simulated-fast"))
    seen = ""
    for _ in range(2 if id else 0):
        try:
            with client.watching(id, seen) as events:
                ends_at = time.monotonic() + draw.uniform(0.2, 1.5)
                for line in events.iter_lines():
                    seen = line[4:] if line.startswith("id: ") else seen
                    if time.monotonic() > ends_at:
                        break
        except httpx2.HTTPError:
            pass


def two_tabs(load: Load, client: Client, draw: Random) -> None:
    """F13. One session in two tabs: both follow a run, one of them is closed and opened again; and both ask at once.
    Each prompt comes to one run, and each tab to the end of what it follows."""
    if client.home.name != "Roomy":  # the other's limits may refuse it
        return
    id = start(load, client, draw, "two tabs", load.mark(), client.home.model("simulated-fast"))
    if not id:
        return
    session = load.new_session(client)
    path = f"{client.home.url}/sessions/{session}/executions"
    asked = [(mark, form(mark, draw, client.home.model("simulated-fast"))) for mark in (load.mark(), load.mark())]
    closes_after = draw.uniform(0.1, 1.0)

    def ask(mark: str, its_form: dict[str, object]) -> None:
        load.heard(mark, "two tabs", client.submit(path, its_form))

    tabs = [threading.Thread(target=_follow, args=(load, client, id, leaves)) for leaves in (None, closes_after)]
    tabs += [threading.Thread(target=ask, args=one) for one in asked]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()


def _follow(load: Load, client: Client, id: str, closes_after: float | None) -> None:
    """To the end; where its tab is closed once, from where it was."""
    seen, ends_at = "", time.monotonic() + WATCHED_FOR
    while time.monotonic() < ends_at:
        closes_at = time.monotonic() + closes_after if closes_after else ends_at
        closes_after = None
        try:
            with client.watching(id, seen) as events:
                for line in events.iter_lines():
                    seen = line[4:] if line.startswith("id: ") else seen
                    if line == "event: done":
                        return
                    if time.monotonic() > closes_at:
                        break
        except httpx2.HTTPError as error:
            client.manners.broken[f"watch: {type(error).__name__}"] += 1
        if client.stopping.wait(0.3):
            return
    load.problems.append(f"a tab never came to the end of {id}")


def thought_unheard(load: Load, client: Client, draw: Random) -> None:
    """F14. A model thinks where nobody can hear it, writes, and is stopped somewhere: it is billed for its thoughts."""
    mark, thoughts = load.mark(), draw.choice((20, 60, 100))
    model = client.home.model("simulated-thoughtful")
    id = start(load, client, draw, "thought unheard", mark, model, f"reasoning={thoughts} tokens=60")
    client.stopping.wait(draw.uniform(1, 5))
    if id:
        client.submit(f"{client.home.url}/executions/{id}/cancellation", {})


def reader_gone(load: Load, client: Client, draw: Random) -> None:
    """F13. A program that leaves in the middle of its stream: the call is stopped, and counted."""
    mark, its_key = load.mark(), key(draw)
    asked = body(mark, draw, client.home.model("simulated-fast"))
    pieces = draw.randrange(0, 12)
    try:
        with client.streaming(asked, its_key) as answer:
            for number, _ in enumerate(answer.iter_lines()):
                if number >= pieces:
                    break
        load.meant(mark, "reader gone", is_sure=answer.status_code < 500)
    except httpx2.HTTPError:
        load.meant(mark, "reader gone", is_sure=False)


def cancelled(load: Load, client: Client, draw: Random) -> None:
    """F14. At any phase: queued, waiting, in mid-answer, at the end."""
    id = start(load, client, draw, "cancelled", load.mark(), client.home.model("simulated-fast"))
    client.stopping.wait(draw.choice((0, 0, 0.05, 0.3, 1.0, 2.0, 3.0)))
    if id:
        client.submit(f"{client.home.url}/executions/{id}/cancellation", {})


DRILLS: dict[str, tuple[str, Drill, float]] = {
    "provider refuses": ("F7", refused, 3),
    "provider refuses once": ("F7", refused_once, 1),
    "provider breaks off": ("F8", broken_off, 4),
    "provider stalls": ("F8", stalls, 0.3),
    "answer is spoilt": ("F9", spoilt, 4),
    "form sent twice": ("F12", double_run, 2),
    "retry sent twice": ("F12", double_retry, 2),
    "first prompt sent twice": ("F12", double_first_prompt, 1.5),
    "call sent twice": ("F12", double_call, 2),
    "page closed": ("F13", closed_page, 2),
    "two tabs": ("F13", two_tabs, 2),
    "reader gone": ("F13", reader_gone, 2),
    "thought unheard": ("F14", thought_unheard, 2),
    "run cancelled": ("F14", cancelled, 3),
}
"""What it is called → (its number in the plan, what does it, how often it is drawn)."""
