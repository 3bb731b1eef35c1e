"""Faults of programs: killed, stalled, asked to leave, emptied, overtaken. Each takes the stack from well to well.

A fault returns once what it broke is on its way back: whatever was killed is started by the stack's supervisor. What
takes long, such as a worker that stands still for a minute, goes on beside the next faults in `Broken.beside`.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import psutil
import psycopg2
import redis
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from dataelan_web.executions.sweep import sweep
from dataelan_web.extensions import db
from dataelan_web.jobs import queue
from dataelan_web.models import NANO

from .client import Manners
from .people import Home
from .stack import Runner, Stack, until

QUEUE = "rq:queue:prompts"
LEAVES_WITHIN = 200.0
"""Seconds that a web has to end its streams, and a worker its runs."""


@dataclass
class Broken:
    """What faults act upon."""

    stack: Stack
    app: Flask
    homes: tuple[Home, ...]
    manners: Manners
    stopping: threading.Event
    beside: list[threading.Thread] = field(default_factory=list)
    unheard: list[tuple[float, float]] = field(default_factory=list)
    """When a process could not hear its provider, or was taken for dead though it could: since and until."""
    standing: dict[tuple[str, int], float] = field(default_factory=dict)
    """A program that was told to stand still, as (name, how often it had been started) → until when, monotonic."""

    def pause(self, seconds: float) -> None:
        self.stopping.wait(seconds)

    def go_on_beside(self, what: Callable[[], None]) -> None:
        thread = threading.Thread(target=what, name="fault")
        thread.start()
        self.beside = [one for one in self.beside if one.is_alive()] + [thread]

    def awake_at(self, runners: list[Runner]) -> float:
        """When one of them does not stand still any more: until then nobody can do what they are for."""
        return min(self.standing.get((runner.name, runner.starts), 0.0) for runner in runners)

    def stands_still(self, runner: Runner) -> bool:
        return self.awake_at([runner]) > time.monotonic()

    def settle(self) -> None:
        """Nothing is broken any more."""
        for thread in self.beside:
            thread.join()
        for runner in self.stack.runners.values():
            runner.send(signal.SIGCONT, to_family=True)


Fault = Callable[[Broken, Random], None]


def any_of(draw: Random, runners: list[Runner]) -> Runner:
    return draw.choice(runners)


# -- killed (F1, F3, F4, F8) ---------------------------------------------------------------------


def worker_killed(it: Broken, draw: Random) -> None:
    """F1. In the middle of whatever it is doing, with all that it has in flight."""
    any_of(draw, it.stack.workers).kill()


def workers_gone(it: Broken, draw: Random) -> None:
    """F3. All at once, and nobody there for a while."""
    for runner in it.stack.workers:
        it.stack.hold_down(runner)
        runner.kill()
    it.pause(draw.choice((0.5, 1, 2, 4)))
    for runner in it.stack.workers:
        it.stack.let_up(runner)


def web_killed(it: Broken, draw: Random) -> None:
    """F4. In the middle of its requests: the whole server, or the process behind it that its parent starts again."""
    runner = any_of(draw, it.stack.webs)
    with suppress(psutil.NoSuchProcess):
        children = runner.process.children()
        if children and draw.random() < 0.3:
            children[0].kill()
            return it.pause(4)  # granian waits before it starts another, and ends if that dies too soon
    runner.kill()


TABLES = ("executions", "execution_bodies", "attempts", "reservations", "budget_periods", "ledger_entries")


def killed_at(it: Broken, draw: Random) -> None:
    """F4, F18. Exactly where it is about to write into a table: nobody can until somebody waits, who is then killed.
    With `executions` that is before a run is recorded or claimed; with `reservations` before a call is made; with
    `ledger_entries` at its end; and a sweeper may be anywhere."""
    table = draw.choice(
        ("executions", "execution_bodies", "attempts", "reservations", "budget_periods", "ledger_entries")
    )
    with suppress(SQLAlchemyError), it.stack.engine.connect() as connection:
        connection.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))
        victim = _who_waits(it)
        if victim:
            victim.kill()
        connection.rollback()


def _who_waits(it: Broken) -> Runner | None:
    """The first program with a connection that waits for a lock. Each names its connections after itself."""
    query = "SELECT application_name FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    ends_at = time.monotonic() + 3
    while time.monotonic() < ends_at:
        for (name,) in it.stack.ask(query):
            if name in it.stack.runners:
                return it.stack.runners[name]
        time.sleep(0.02)
    return None


def killed_before_the_queue(it: Broken, draw: Random) -> None:
    """F4. Between the commit of a run and its message: Valkey takes nothing, and a web that waits for it is killed."""
    with suppress(redis.RedisError):
        it.stack.valkey.client_pause(1500, all=True)
    it.pause(1.2)
    any_of(draw, it.stack.webs).kill()
    it.pause(0.5)


def provider_killed(it: Broken, draw: Random) -> None:
    """F8. All its answers break off, and new calls are refused for a moment."""
    it.stack.runners["provider"].kill()


# -- asked to leave (F15) ------------------------------------------------------------------------


def rolling_restart(it: Broken, draw: Random) -> None:
    """F15. A deployment: every program is asked to leave, one after the other, and a new one takes its place."""
    with it.manners.drain():
        for runner in draw.sample(it.stack.webs + it.stack.workers, 4):
            _asked_to_leave(it, runner)


def worker_leaves(it: Broken, draw: Random) -> None:
    """F15. It finishes what it has begun."""
    with it.manners.drain():
        _asked_to_leave(it, any_of(draw, it.stack.workers))


def web_leaves(it: Broken, draw: Random) -> None:
    """F15. It ends its streams before it goes."""
    with it.manners.drain():
        _asked_to_leave(it, any_of(draw, it.stack.webs))


def _asked_to_leave(it: Broken, runner: Runner) -> None:
    """It has all the time that its answers want: none takes as long as its grace."""
    starts = runner.starts
    if runner.tether is None:
        return
    runner.tether.terminate()
    until(lambda: runner.starts > starts or it.stopping.is_set(), LEAVES_WITHIN, f"{runner.name} to be replaced")
    if runner.port:
        with suppress(TimeoutError):
            until(lambda: _listens(runner), 15, f"{runner.name} to listen")


def _listens(runner: Runner) -> bool:
    with suppress(psutil.Error):
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == runner.port
            for process in runner.family
            for connection in process.net_connections("tcp")
        )
    return False


# -- Valkey (F5, F17) ----------------------------------------------------------------------------


def valkey_killed(it: Broken, draw: Random) -> None:
    """F5. It comes back at once, empty."""
    it.stack.runners["valkey"].kill()


def valkey_away(it: Broken, draw: Random) -> None:
    """F5. For a while; then it comes back, empty."""
    runner = it.stack.runners["valkey"]
    it.stack.hold_down(runner)
    runner.kill()
    it.pause(draw.choice((2, 5, 10, 30)))
    it.stack.let_up(runner)


def valkey_stalls(it: Broken, draw: Random) -> None:
    """F5. It takes connections and says nothing."""
    runner = it.stack.runners["valkey"]
    runner.send(signal.SIGSTOP)
    it.pause(draw.choice((1, 3, 8, 15)))
    runner.send(signal.SIGCONT)


def valkey_full(it: Broken, draw: Random) -> None:
    """F5. It takes nothing in: `maxmemory` reached, and nothing may be evicted."""
    with suppress(redis.RedisError):
        it.stack.valkey.config_set("maxmemory", "1")
        it.pause(draw.choice((1, 3, 6)))
    with suppress(redis.RedisError):
        it.stack.valkey.config_set("maxmemory", "0")


def messages_lost(it: Broken, draw: Random) -> None:
    """F17. Whatever waits in the queue is gone, or all of Valkey's memory."""
    with suppress(redis.RedisError):
        if draw.random() < 0.3:
            it.stack.valkey.flushall()
        for _ in range(10):
            it.stack.valkey.delete(QUEUE)
            it.pause(0.05)


def messages_doubled(it: Broken, draw: Random) -> None:
    """F17. Messages about every run there is, whatever its state, and about some that there are not."""
    rows = it.stack.ask("SELECT id, fence FROM executions ORDER BY id DESC LIMIT 30")
    with it.app.app_context():
        for id, fence in rows:
            queue.execute_later(id, fence)
            queue.execute_later(id, fence + 1)
        queue.execute_later(uuid.uuid4(), 0)


# -- PostgreSQL (F6) -----------------------------------------------------------------------------


def database_killed(it: Broken, draw: Random) -> None:
    """F6. `immediate`: no goodbye, and a recovery at the next start."""
    runner = it.stack.runners["postgres"]
    it.stack.hold_down(runner)
    runner.send(signal.SIGQUIT)
    it.pause(draw.choice((0, 1, 3, 10)))
    it.stack.let_up(runner)
    with suppress(TimeoutError):
        until(it.stack.database_answers, 30, "the database")


def connections_cut(it: Broken, draw: Random) -> None:
    """F6. Some connections, or all of them, wherever they are; some in the middle of a commit."""
    share = draw.choice((0.1, 0.5, 1.0))
    query = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name <> 'faults' AND backend_type = 'client backend' AND random() < :share"""
    for _ in range(draw.choice((1, 5))):
        with suppress(SQLAlchemyError):
            it.stack.ask(query, share=share)
        it.pause(0.1)


def commits_cut(it: Broken, draw: Random) -> None:
    """F6. A connection that is committing at this moment: nobody is told whether that succeeded."""
    query = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name <> 'faults' AND state = 'active' AND query ILIKE 'COMMIT%'"""
    ends_at = time.monotonic() + 2
    with suppress(SQLAlchemyError):
        while time.monotonic() < ends_at and not it.stack.ask(query):
            time.sleep(0.002)


def connections_exhausted(it: Broken, draw: Random) -> None:
    """F6. Somebody else has taken all the connections that the server gives."""
    taken = []
    with suppress(psycopg2.Error):
        for _ in range(300):
            taken.append(psycopg2.connect(it.stack.environ["DATABASE_URL"], connect_timeout=3))
    it.pause(draw.choice((1, 3)))
    for one in taken:
        one.close()


def database_stalls(it: Broken, draw: Random) -> None:
    """F6. Every one of its processes stands still."""
    runner = it.stack.runners["postgres"]
    runner.send(signal.SIGSTOP, to_family=True)
    it.pause(draw.choice((0.5, 2, 6)))
    runner.send(signal.SIGCONT, to_family=True)


def disk_full(it: Broken, draw: Random) -> None:
    """F10. Nothing more fits on the database's disk, down to the last byte."""
    assert it.stack.disk
    ballast = it.stack.disk / "ballast"
    with suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while file.write(bytes(65_536)):
            pass
    ends_at = time.monotonic() + draw.choice((2, 5))
    while time.monotonic() < ends_at:  # what the database gives back meanwhile is taken too
        with suppress(OSError), open(ballast, "ab", buffering=0) as file:
            file.write(bytes(8_192))
        it.pause(0.05)
    ballast.unlink()
    with suppress(TimeoutError):
        until(it.stack.database_answers, 30, "the database")


# -- time and order (F11, F16, F18, F19) ---------------------------------------------------------


HOUR, DAY = 3600, 86400


def clock_steps(it: Broken, draw: Random) -> None:
    """F11. One machine's clock jumps by up to a day, and later back."""
    offset, seconds = draw.choice((HOUR, -HOUR, DAY, -DAY, 40, -40)), draw.choice((4, 8, 15))
    runner = draw.choice((it.stack.webs[-1], it.stack.workers[-1]))

    def step() -> None:
        it.stack.set_clock(runner, offset)
        it.pause(seconds)
        it.stack.set_clock(runner, 0)

    it.go_on_beside(step)
    it.pause(1)


def worker_stands_still(it: Broken, draw: Random) -> None:
    """F16. Longer than its leases, while the others go on; then it wakes up in the middle of what it was writing."""
    runner, seconds = any_of(draw, it.stack.workers), draw.choice((2, 10, 40, 60))
    _stands_still(it, runner, seconds)


def web_stands_still(it: Broken, draw: Random) -> None:
    """F16. The same for gateway calls."""
    _stands_still(it, any_of(draw, it.stack.webs), draw.choice((1, 5, 40)))


def _stands_still(it: Broken, runner: Runner, seconds: float) -> None:
    with suppress(psutil.NoSuchProcess):
        family = runner.family

        wakes_at, known = time.monotonic() + seconds, (runner.name, runner.starts)
        it.standing[known] = max(wakes_at, it.standing.get(known, 0.0))

        def stand() -> None:
            it.unheard.append((time.time(), time.time() + seconds + 10))
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            it.pause(seconds)
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

        it.go_on_beside(stand)
    it.pause(1)


def sweepers_race(it: Broken, draw: Random) -> None:
    """F18. Many at once over the same rows, some of whose leases ran out this moment."""
    it.unheard.append((time.time(), time.time() + 15))
    with suppress(SQLAlchemyError):
        it.stack.ask(
            "UPDATE executions SET lease_until = now() WHERE state = 'running' AND random() < :share",
            share=draw.choice((0.0, 0.1, 0.3)),
        )
    gate = threading.Barrier(4)

    def one() -> None:
        gate.wait()
        with suppress(SQLAlchemyError), it.app.app_context():
            sweep()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def prices_change(it: Broken, draw: Random) -> None:
    """F19. All of them, while calls run: each is charged by the price it was held by."""
    factor = draw.choice((1, 2, 3))
    with suppress(SQLAlchemyError), it.app.app_context():
        db.session.execute(
            text("""
                INSERT INTO prices (id, created_at, model_id, effective_at, source, input, output, per_request, tiers)
                SELECT gen_random_uuid(), now(), id, now(), 'faults', :input, :output, 0, '[]' FROM models
                WHERE organization_id IS NOT NULL"""),
            {"input": factor * 100 * NANO, "output": factor * 500 * NANO},
        )
        db.session.commit()


def limits_change(it: Broken, draw: Random) -> None:
    """F19. The tight organization gets a little more, or less."""
    query = """
        UPDATE budgets SET "limit" = greatest(
            "limit" + :more * CASE unit WHEN 'usd' THEN 1000000000 WHEN 'tokens' THEN 4000 ELSE 20 END, 0)
        WHERE organization_id = :id"""
    with suppress(SQLAlchemyError):
        it.stack.ask(query, more=draw.choice((-1, 1, 2, 5)), id=it.homes[-1].organization_id)


FAULTS: dict[str, tuple[str, Fault, float]] = {
    "worker killed": ("F1", worker_killed, 8),
    "all workers gone": ("F3", workers_gone, 4),
    "web killed": ("F4", web_killed, 6),
    "killed at a table": ("F4", killed_at, 8),
    "web killed before queue": ("F4", killed_before_the_queue, 2),
    "provider killed": ("F8", provider_killed, 3),
    "rolling restart": ("F15", rolling_restart, 0.7),
    "worker asked to leave": ("F15", worker_leaves, 2),
    "web asked to leave": ("F15", web_leaves, 2),
    "Valkey killed": ("F5", valkey_killed, 4),
    "Valkey away": ("F5", valkey_away, 1),
    "Valkey stalls": ("F5", valkey_stalls, 1.5),
    "Valkey full": ("F5", valkey_full, 1.5),
    "messages lost": ("F17", messages_lost, 4),
    "messages doubled": ("F17", messages_doubled, 4),
    "database killed": ("F6", database_killed, 3),
    "connections cut": ("F6", connections_cut, 5),
    "commits cut": ("F6", commits_cut, 4),
    "connections exhausted": ("F6", connections_exhausted, 1.5),
    "database stalls": ("F6", database_stalls, 2),
    "disk full": ("F10", disk_full, 0),  # on a stack of its own
    "clock steps": ("F11", clock_steps, 3),
    "worker stands still": ("F16", worker_stands_still, 2),
    "web stands still": ("F16", web_stands_still, 1.5),
    "sweepers race": ("F18", sweepers_race, 4),
    "prices change": ("F19", prices_change, 2),
    "limits change": ("F19", limits_change, 3),
}
"""What it is called → (its number in the plan, what does it, how often it is drawn)."""
