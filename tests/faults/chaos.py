"""A schedule of faults, drawn from a seed, under load. After each the books are looked at; every now and then all comes
to rest and is judged.

The same seed draws the same acts and faults in the same order. How they fall between each other is the machine's.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import httpx2
from sqlalchemy.exc import SQLAlchemyError

from .breakage import FAULTS, Broken
from .client import Client, Manners
from .drills import DRILLS
from .load import RUN, Load, form
from .people import settle_in
from .stack import Stack, running, until
from .verdict import Verdict, broken_by_now, judge, prepare, told

SHARE_OF_DRILLS = 0.55
JUDGED_EVERY = 100
"""Faults between two moments of rest."""
ALL_END_WITHIN = 120.0
LEASE_OVERDUE, WAITS_TOO_LONG = 60, 120
WEB_BACK_WITHIN, WORKER_BACK_WITHIN = 10.0, 15.0
DRAINS = ("rolling restart", "worker asked to leave", "web asked to leave")
KILLS = ("worker killed", "all workers gone", "web killed", "killed at a table")


@dataclass(frozen=True)
class Plan:
    seed: int
    faults: int
    rate: float = 4.0
    """Acts a second."""
    only: tuple[str, ...] = ()
    """These kinds and no others; as many as there are, each of them once."""
    webs: int = 2
    workers: int = 2
    disk: str = ""
    """The size of the database's disk, where it is to be filled."""
    is_in_a_hurry: bool = False
    """The leases of what was killed run out at once, for a test that has no half minute."""

    def schedule(self) -> list[str]:
        """Names of FAULTS and DRILLS. In a long one each kind comes at least once."""
        draw = Random(self.seed)
        weights: dict[str, float] = {}
        for part, share in ((FAULTS, 1 - SHARE_OF_DRILLS), (DRILLS, SHARE_OF_DRILLS)):
            total = sum(weight for _, _, weight in part.values())
            weights |= {name: share * weight / total for name, (_, _, weight) in part.items()}
        names = [name for name in weights if (name in self.only if self.only else weights[name])]
        drawn = draw.choices(names, [weights[name] or 1 for name in names], k=self.faults)
        if self.faults == len(names) or self.faults >= 4 * len(names):
            drawn[: len(names)] = names
            draw.shuffle(drawn)
        return drawn


def run(plan: Plan, say: Callable[[str], None]) -> Verdict:
    """Start a stack, break it as planned, and judge. Says how it goes. Raises stack.NoDisk."""
    with running(plan.webs, plan.workers, plan.disk) as stack:
        return Chaos(plan, stack, say).run()


class Chaos:
    def __init__(self, plan: Plan, stack: Stack, say: Callable[[str], None]):
        self.plan, self.stack, self.say = plan, stack, say
        self.app, self.stopping = stack.app(), threading.Event()
        prepare(stack)
        homes, manners = settle_in(stack, self.app), Manners()
        clients = [Client(stack, home, manners, self.stopping) for home in homes]
        self.client, self.load, self.verdict = (
            clients[0],
            Load(clients, plan.seed, is_in_a_hurry=plan.is_in_a_hurry),
            Verdict(),
        )
        self.broken = Broken(stack, self.app, homes, manners, self.stopping)
        self.busy, self.is_over = threading.Event(), threading.Event()

    def run(self) -> Verdict:
        started = time.monotonic()
        self.say(f"seed {self.plan.seed}: {self.plan.faults} faults; logs in {self.stack.data / 'log'}")
        threads = [threading.Thread(target=what) for what in (self._act, self._look_for_the_stuck)]
        for thread in threads:
            thread.start()
        try:
            self._break()
        finally:
            self.stopping.set()
            self.is_over.set()
            self.busy.set()
            self.broken.settle()
            self.load.close()
            for thread in threads:
                thread.join()
        self.say(told(self.verdict, self.broken.manners, self.plan.seed, time.monotonic() - started))
        return self.verdict

    def _act(self) -> None:
        while not self.is_over.wait(1 / self.plan.rate):
            self.busy.wait()
            if not self.is_over.is_set():
                self.load.ordinary()

    def _break(self) -> None:
        draw, names = Random(self.plan.seed + 1), self._possible(self.plan.schedule())
        self.busy.set()
        self.broken.pause(2)
        for number, name in enumerate(names, 1):
            self._inject(name, Random(draw.random()))
            if number % JUDGED_EVERY == 0 or number == len(names):
                self.busy.clear()
                self._rest()
                judge(self.stack, self.load, self.broken, self.verdict)
                self.say(f"  {number} faults: {len(self.verdict.stuck)} stuck; {self.verdict.found}")
                self.busy.set()

    def _possible(self, names: list[str]) -> list[str]:
        """Without those that this machine has no means for, which the summary says."""
        if any(self.stack.clock_of(runner).exists() for runner in self.stack.runners.values()):
            return names
        if count := names.count("clock steps"):
            self.verdict.left_out = f"{count} × clock steps, for which a C compiler is needed"
        return [name for name in names if name != "clock steps"]

    def _inject(self, name: str, draw: Random) -> None:
        """One fault, and how long its repair took."""
        if name in DRILLS:
            number, drill, _ = DRILLS[name]
            self.load.do(drill)
            self.broken.pause(draw.uniform(0.1, 0.4))
        else:
            number, fault, _ = FAULTS[name]
            if name in DRAINS:  # nothing else is broken meanwhile: what is lost is lost by leaving
                self.broken.settle()
                self._back()
            fault(self.broken, draw)
            if self.plan.is_in_a_hurry and name in KILLS:
                self.broken.unheard.append((time.time(), time.time() + 15))  # those that live are taken for dead too
                self.stack.ask("UPDATE executions SET lease_until = now() WHERE state = 'running'")
            web, worker = self._back()
            self.verdict.recovered[name].append((web, worker))
            is_slow = web > WEB_BACK_WITHIN or worker > WORKER_BACK_WITHIN
            if is_slow and not self.plan.is_in_a_hurry:  # that is beside other tests, which take their time from it
                load = f"{os.getloadavg()[0]:.1f} ready to run on {os.cpu_count()} processors"
                self.verdict.slow.append(f"{name}: a page after {web:.1f} s, an answer after {worker:.1f} s; {load}")
            self.broken.pause(draw.uniform(0.1, 0.8))
        self.verdict.broken |= broken_by_now(self.stack)
        self.verdict.faults[name] += 1
        self.verdict.numbers[name] = number

    # -- well again ------------------------------------------------------------------------------

    def _back(self) -> tuple[float, float]:
        """Seconds until a page is shown again, and until a prompt is answered again; since the fault, or since one of
        those who can do it does not stand still any more."""
        fault_ended_at = time.monotonic()
        through = self._first_to_show()
        shown_at = time.monotonic()
        client, mark, draw = self.client, self.load.mark(), Random(uuid.uuid4().int)
        session = self.load.new_session(client, through)  # in another the prompt would wait for those before it
        path = f"{client.home.url}/sessions/{session}/executions"
        asked = form(mark, draw, client.home.model("simulated-instant"), "tokens=3")
        answer = client.submit(path, asked, through=through)
        self.load.heard(mark, "probe", answer)
        if found := RUN.search(answer.text):
            until(lambda: self._has_ended(found[1]), 90, f"the answer to {mark}")
        web_since = max(fault_ended_at, self.broken.awake_at(self.stack.webs))
        worker_since = max(web_since, self.broken.awake_at(self.stack.workers))  # who asks a worker asks a web first
        return max(shown_at - web_since, 0.0), max(time.monotonic() - worker_since, 0.0)

    def _first_to_show(self) -> str:
        """The address of a web that shows a page. Like a balancer it asks none that stands still."""
        ends_at = time.monotonic() + 90
        while time.monotonic() < ends_at:
            for runner in self.stack.webs:
                if not self.broken.stands_still(runner) and self._shows(url := f"http://127.0.0.1:{runner.port}"):
                    return url
            time.sleep(0.05)
        raise TimeoutError("waited 90 s for a page")

    def _shows(self, url: str) -> bool:
        try:
            headers = {"Cookie": self.client.home.cookie}
            return self.client.http.get(f"{url}{self.client.home.page}", headers=headers, timeout=3).is_success
        except httpx2.HTTPError:
            return False

    def _has_ended(self, id: str) -> bool:
        try:
            rows = self.stack.ask("SELECT state FROM executions WHERE id = :id", id=id)
        except SQLAlchemyError:
            return False
        return bool(rows) and rows[0][0] not in ("queued", "running")

    def _rest(self) -> None:
        """Nothing more is asked or broken, and all that was begun ends."""
        self.broken.settle()
        if not self.load.settle(150):
            self.load.problems.append("an act did not end")
        query = "SELECT count(*) FROM executions WHERE state IN ('queued', 'running')"
        try:
            seconds = until(lambda: self.stack.ask(query)[0][0] == 0, ALL_END_WITHIN, "all executions to end")
            self.verdict.longest_end = max(self.verdict.longest_end, seconds)
        except TimeoutError as late:
            self.verdict.stuck.append(str(late))
        time.sleep(1)

    def _look_for_the_stuck(self) -> None:
        """I1, all the time: rows whose lease is long over, and rows that wait though there are workers."""
        query = """
            SELECT id, state, lease_until FROM executions
            WHERE (state = 'running' AND lease_until < now() - make_interval(secs => :overdue))
               OR (state = 'queued' AND waits_for_id IS NULL
                   AND greatest(created_at, enqueued_at) < now() - make_interval(secs => :waits))"""
        seen = set()
        while not self.stopping.wait(3):
            try:
                rows = self.stack.ask(query, overdue=LEASE_OVERDUE, waits=WAITS_TOO_LONG)
            except SQLAlchemyError:
                continue
            for row in rows:
                if row.id not in seen:
                    seen.add(row.id)
                    self.verdict.stuck.append(f"{row.id} {row.state} lease until {row.lease_until}")
