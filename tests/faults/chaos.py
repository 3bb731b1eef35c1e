"""A schedule of faults, drawn from a seed, under load; every now and then all comes to rest and is judged.

The same seed draws the same acts and faults in the same order. How they fall between each other is the machine's.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import httpx2
from sqlalchemy.exc import SQLAlchemyError

from .breakage import FAULTS, Broken
from .client import Client, Manners
from .drills import DRILLS
from .load import RUN, Load, form
from .people import settle_in
from .stack import NoDisk, Stack, running, until
from .verdict import Verdict, judge, prepare, told

SHARE_OF_DRILLS = 0.55
JUDGED_EVERY = 100
"""Faults between two moments of rest."""
ALL_END_WITHIN = 120.0
LEASE_OVERDUE, WAITS_TOO_LONG = 60, 120
WEB_BACK, WORKER_BACK = 10.0, 15.0
DRAINS = ("rolling restart", "worker asked to leave", "web asked to leave")


@dataclass(frozen=True)
class Plan:
    seed: int
    faults: int
    rate: float = 4.0
    """Acts a second."""
    only: tuple[str, ...] = ()
    """These kinds and no others."""
    disk: str = ""
    """The size of the database's disk, where it is to be filled."""


def schedule(plan: Plan) -> list[str]:
    """Names of FAULTS and DRILLS. In a long one each kind comes at least once."""
    draw = Random(plan.seed)
    weights: dict[str, float] = {}
    for part, share in ((FAULTS, 1 - SHARE_OF_DRILLS), (DRILLS, SHARE_OF_DRILLS)):
        total = sum(weight for _, _, weight in part.values())
        weights |= {name: share * weight / total for name, (_, _, weight) in part.items()}
    names = [name for name in weights if (name in plan.only if plan.only else weights[name])]
    drawn = draw.choices(names, [weights[name] or 1 for name in names], k=plan.faults)
    if plan.faults >= 4 * len(names):
        drawn[: len(names)] = names
        draw.shuffle(drawn)
    return drawn


def run(plan: Plan, say: Callable[[str], None]) -> Verdict:
    """Start a stack, break it as planned, and judge. Says how it goes."""
    started = time.monotonic()
    with running(disk=plan.disk) as stack:
        say(f"seed {plan.seed}: {plan.faults} faults; logs in {stack.data / 'log'}")
        app, stopping = stack.app(), threading.Event()
        prepare(stack)
        homes, manners, verdict = settle_in(stack, app), Manners(), Verdict()
        clients = [Client(stack, home, manners, stopping) for home in homes]
        load = Load(clients, plan.seed)
        broken = Broken(stack, app, homes, manners, stopping)
        monitor = threading.Thread(target=_look_for_the_stuck, args=(stack, verdict, stopping), name="monitor")
        monitor.start()
        try:
            _break(plan, stack, load, clients[0], broken, verdict, say)
        finally:
            stopping.set()
            broken.settle()
            load.close()
            monitor.join()
        say(told(verdict, manners, plan.seed, time.monotonic() - started))
    return verdict


def _break(
    plan: Plan, stack: Stack, load: Load, client: Client, broken: Broken, verdict: Verdict, say: Callable[[str], None]
) -> None:
    draw, names = Random(plan.seed + 1), schedule(plan)
    busy = threading.Event()
    stopped = threading.Event()
    acting = threading.Thread(target=_act, args=(load, plan.rate, busy, stopped), name="acts")
    acting.start()
    try:
        busy.set()
        broken.pause(2)
        for number, name in enumerate(names, 1):
            inject(name, load, client, broken, Random(draw.random()), verdict)
            if number % JUDGED_EVERY == 0 or number == len(names):
                busy.clear()
                _rest(stack, load, broken, verdict)
                judge(stack, load, broken, verdict)
                say(f"  {number} faults: {len(verdict.broken)} invariants broken, {len(verdict.stuck)} stuck")
                busy.set()
    finally:
        busy.set()
        stopped.set()
        acting.join()


def _act(load: Load, rate: float, busy: threading.Event, stopped: threading.Event) -> None:
    while not stopped.wait(1 / rate):
        busy.wait()
        if not stopped.is_set():
            load.ordinary()


def inject(name: str, load: Load, client: Client, broken: Broken, draw: Random, verdict: Verdict) -> None:
    """One fault, and how long its repair took."""
    if name in DRILLS:
        number, drill, _ = DRILLS[name]
        load.do(drill)
        broken.pause(draw.uniform(0.1, 0.4))
    else:
        number, fault, _ = FAULTS[name]
        if name in DRAINS:  # nothing else is broken meanwhile: what is lost is lost by leaving
            broken.settle()
            back(load, client)
        fault(broken, draw)
        verdict.recovered[name].append(back(load, client))
        broken.pause(draw.uniform(0.1, 0.8))
    verdict.faults[name] += 1
    verdict.numbers[name] = number


def back(load: Load, client: Client) -> tuple[float, float]:
    """Seconds until a page is shown again, and until a prompt is answered again."""
    started = time.monotonic()
    web = until(lambda: _shows(client), 90, "a page")
    mark, draw = load.mark(), Random(uuid.uuid4().int)
    path = f"{client.home.url}/sessions/{load.session(client, draw)}/executions"
    asked = form(mark, draw, client.home.model("simulated-instant"), "tokens=3")
    answer = client.submit(path, asked)
    load.heard(mark, "probe", answer)
    found = RUN.search(answer.text)
    if found:
        until(lambda: _has_ended(client.stack, found[1]), 90, f"the answer to {mark}")
    return web, time.monotonic() - started


def _shows(client: Client) -> bool:
    for runner in client.stack.webs:
        try:
            url = f"http://127.0.0.1:{runner.port}{client.home.page}"
            if client.http.get(url, headers={"Cookie": client.home.cookie}, timeout=3).status_code == 200:
                return True
        except httpx2.HTTPError:
            continue
    return False


def _has_ended(stack: Stack, id: str) -> bool:
    try:
        rows = stack.ask("SELECT state FROM executions WHERE id = :id", id=id)
    except SQLAlchemyError:
        return False
    return bool(rows) and rows[0][0] not in ("queued", "running")


def _rest(stack: Stack, load: Load, broken: Broken, verdict: Verdict) -> None:
    """Nothing more is asked or broken, and all that was begun ends."""
    broken.settle()
    if not load.settle(150):
        load.problems.append("an act did not end")
    query = "SELECT count(*) FROM executions WHERE state IN ('queued', 'running')"
    try:
        seconds = until(lambda: stack.ask(query)[0][0] == 0, ALL_END_WITHIN, "all executions to end")
        verdict.longest_end = max(verdict.longest_end, seconds)
    except TimeoutError as late:
        verdict.stuck.append(str(late))
    time.sleep(1)


def _look_for_the_stuck(stack: Stack, verdict: Verdict, stopping: threading.Event) -> None:
    """I1, all the time: rows whose lease is long over, and rows that wait though there are workers."""
    query = """
        SELECT id, state, lease_until FROM executions
        WHERE (state = 'running' AND lease_until < now() - make_interval(secs => :overdue))
           OR (state = 'queued' AND greatest(created_at, enqueued_at) < now() - make_interval(secs => :waits))"""
    seen = set()
    while not stopping.wait(3):
        try:
            rows = stack.ask(query, overdue=LEASE_OVERDUE, waits=WAITS_TOO_LONG)
        except SQLAlchemyError:
            continue
        for row in rows:
            if row.id not in seen:
                seen.add(row.id)
                verdict.stuck.append(f"{row.id} {row.state} lease until {row.lease_until}")


def main(arguments: list[str]) -> int:
    import argparse
    import os

    reader = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    reader.add_argument("--seed", type=int, default=int(os.environ.get("DATAELAN_FAULT_SEED") or time.time()))
    reader.add_argument("--faults", type=int, default=int(os.environ.get("DATAELAN_FAULTS") or 1000))
    reader.add_argument("--rate", type=float, default=4.0)
    reader.add_argument("--only", action="append", default=[], choices=[*FAULTS, *DRILLS])
    given = reader.parse_args(arguments)
    plan = Plan(given.seed, given.faults, given.rate, tuple(given.only))
    verdicts = [run(plan, say)]
    if not given.only:
        verdicts.append(_with_a_small_disk(plan))
    return 0 if all(verdict.is_good for verdict in verdicts if verdict) else 1


def _with_a_small_disk(plan: Plan) -> Verdict | None:
    """F10, on a stack of its own: one fault in fifty."""
    try:
        return run(replace(plan, faults=max(2, plan.faults // 50), only=("disk full",), disk="400m"), say)
    except NoDisk as reason:
        say(f"F10 (disk full) was left out: no disk of its own could be made for the database ({reason})")
        return None


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
