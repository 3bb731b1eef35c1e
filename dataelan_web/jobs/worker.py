"""One registered RQ worker that runs many prompts at once: waiting on a provider is not work.

RQ's base worker already tracks several executions; `execute_job` hands each job to a thread behind a semaphore.
RQ is the wake-up call only: claims, leases and deadlines are ours, in PostgreSQL and in the router.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import FrameType
from typing import Any

import redis
import rq
import sqlalchemy.exc
from flask import Flask
from rq.exceptions import NoSuchJobError, StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty
from rq.worker import SimpleWorker

from .. import logs, traces
from ..acting.delivering import deliver_calls_forever
from ..acting.path import act_forever
from ..batches.pump import pump_forever
from ..dashboards.exporting import look_after_forever
from ..executions import unused_files
from ..executions.draining import draining
from ..executions.indexing import index_forever
from ..executions.retention import forget_audit, keep_to_retention
from ..executions.sweep import EVERY, JUST_SENT, NOBODY_BEFORE, UNHEARD, sweep
from ..extensions import db
from ..metrics import ended, process
from ..notify.deliver import deliver_forever
from ..notify.limits import alert
from ..processors import keep_to_one
from ..rollups.keeping import keep_forever, recount_forever
from ..starting import starting
from ..summaries.sending import summarize_forever
from . import queue
from .tasks import ALLOWED

log = logging.getLogger(__name__)

SWITCH_EVERY = 0.0005
"""Seconds a thread may keep the interpreter from others. Python's 5 ms make the thread that takes messages wait
behind every prompt's thread, at each of its round trips to Valkey."""
TIDY_EVERY = 3600.0
ASK_AGAIN = 1.0
"""Seconds after which Valkey is asked again when it was away."""
ONE_WISH = 1.0
"""Seconds in which several signals are one."""
LISTENS = 60
"""Seconds; RQ then waits for a message somewhat less, and on a silent connection not much longer."""


class NamedJob(Job):
    """A job that can only be one of tasks.ALLOWED, whatever a message in Valkey says."""

    @classmethod
    def fetch(cls, id: str, connection: redis.Redis | None = None, serializer: Any = None) -> NamedJob:
        """Its name alone: what it says is read by the thread that does it. Who takes messages has others to take."""
        try:
            return cls(id, connection=connection or queue.store(), serializer=serializer)
        except ValueError as error:  # no name of ours: RQ goes on to the next
            raise NoSuchJobError from error

    @property
    def func(self) -> Callable[..., Any] | None:
        if self.func_name not in ALLOWED:
            raise ValueError(f"{self.func_name!r} is not a task of Dataelan")
        return ALLOWED[self.func_name]


class NoDeathPenalty(BaseDeathPenalty):
    """RQ's timers cannot interrupt a thread; the router keeps its own deadlines."""

    def setup_death_penalty(self) -> None:
        pass

    def cancel_death_penalty(self) -> None:
        pass


class PooledWorker(SimpleWorker):
    job_class = NamedJob
    death_penalty_class = NoDeathPenalty
    log_result_lifespan = False
    max_connection_wait_time = ASK_AGAIN

    def __init__(self, app: Flask, queues: list[rq.Queue], concurrency: int):
        super().__init__(
            queues,
            connection=queues[0].connection,
            worker_ttl=LISTENS,
            serializer=JSONSerializer,
            job_class=NamedJob,
            log_job_description=False,
        )
        self.app = app
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="prompt")
        self._free = threading.Semaphore(concurrency)
        self._begun: set[Future[None]] = set()
        self._beat_at = self._asked_at = self._stopped_at = 0.0
        with app.app_context():
            self._draining = draining()
        self.is_leaving = self._draining.is_leaving
        """It takes no more messages, and finishes what it has begun."""
        self.is_whole = True
        """Did all that it had begun come to its end?"""

    def execute_job(self, job: Job, queue: rq.Queue) -> None:
        """Take the message off the queue's books, and the work to a thread. From here on PostgreSQL keeps track:
        a message that dies with us is made anew by a sweeper."""
        try:
            self._free.acquire()
        except StopRequested:
            self._give_back(job, queue)
            raise
        begun = self._pool.submit(self._perform, job, queue)
        self._begun.add(begun)
        begun.add_done_callback(self._begun.discard)

    def _give_back(self, job: Job, to: rq.Queue) -> None:
        """A message that was taken while there was no room for it: another worker takes it at once."""
        with contextlib.suppress(redis.RedisError), to.connection.pipeline() as pipeline:  # else a sweeper finds it
            pipeline.lrem(to.intermediate_queue_key, 1, job.id)
            pipeline.lpush(to.key, job.id)
            pipeline.execute()

    def _perform(self, job: Job, queue: rq.Queue) -> None:
        try:
            with self.app.app_context():
                if said := self._take_off(job, queue):
                    job.restore(said)
                    with logs.scope(job.meta), traces.continued(job.meta):
                        job.perform()
        except Exception:
            log.exception("job %s broke; the sweeper has the execution", job.id)
        finally:
            self._free.release()

    def _take_off(self, job: Job, from_: rq.Queue) -> Any:
        """Off RQ's books: returns what it said. Nothing, where somebody else took it; or Valkey is away: then a sweeper
        makes it anew."""
        with contextlib.suppress(redis.RedisError), queue.store().pipeline(transaction=False) as pipeline:
            pipeline.hgetall(job.key)
            pipeline.lrem(from_.intermediate_queue_key, 1, job.id)
            pipeline.delete(job.key)
            return pipeline.execute()[0]
        return None

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """RQ waits where Valkey is away, but leaves where it answers with an error, as when its memory is full."""
        while True:
            try:
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
            except redis.RedisError as error:
                log.warning("no message can be taken: %s", error)
                time.sleep(ASK_AGAIN)

    # -- RQ's own books: kept where that costs little, and never a reason to leave -----------------

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ beats three times a job; once a second tells as much."""
        if time.monotonic() - self._beat_at >= 1 or pipeline is not None:
            self._beat_at = time.monotonic()
            with contextlib.suppress(redis.RedisError):
                super().heartbeat(timeout, pipeline)

    def check_for_suspension(self, burst: bool) -> None:
        """Asked once a second, not once a message."""
        if time.monotonic() - self._asked_at >= 1:
            self._asked_at = time.monotonic()
            with contextlib.suppress(redis.RedisError):
                super().check_for_suspension(burst)

    def run_maintenance_tasks(self) -> None:
        """What was taken by a worker that died at once is taken off the books."""
        with contextlib.suppress(redis.RedisError, ValueError):  # of a message that has no name of RQ's
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Between two messages nothing changes: we are always ready for another."""
        if state != self._state:
            with contextlib.suppress(redis.RedisError):
                super().set_state(state, pipeline)

    # -- asked to leave ----------------------------------------------------------------------------

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """By the first signal."""
        self._stopped_at = time.monotonic()
        self.is_leaving.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """By a second. One that comes at once is the same wish: a terminal's Ctrl-C is told to all of its programs, and
        again by whoever started them."""
        if time.monotonic() - self._stopped_at >= ONE_WISH:
            self._draining.hurry()

    def teardown(self) -> None:
        """What is in flight is finished before the worker leaves (executions/draining)."""
        self.is_leaving.set()
        with contextlib.suppress(redis.RedisError), self.app.app_context():
            queue.leave(self.name)
        grace = self.app.extensions["dataelan_settings"].grace
        self.is_whole = self._draining.drain(self._has_ended, grace)
        self._pool.shutdown(wait=self.is_whole)
        with contextlib.suppress(redis.RedisError):
            super().teardown()  # type: ignore[no-untyped-call]

    def _has_ended(self, seconds: float) -> bool:
        return not wait(set(self._begun), seconds).not_done


def sweep_forever(app: Flask, worker: PooledWorker) -> None:
    memory = ""
    while True:
        found = ""
        try:
            with app.app_context():
                found = look_around(worker, memory)
        except Exception:  # this thread must not end: what dies elsewhere depends on it
            log.exception("the sweeper met something unexpected and goes on")
        memory = found or memory
        time.sleep(EVERY if found else ASK_AGAIN)


def look_around(worker: PooledWorker, memory: str) -> str:
    """Every few seconds: say that this worker takes messages, end what died, and tell who is near a limit. Prompts that
    wait for a message are found at once where Valkey began anew, and so has lost it. Takes and returns whose memory
    Valkey has; nothing while it is away."""
    found, unheard = "", None
    try:
        found = queue.memory()
        unheard = JUST_SENT if memory and found != memory else UNHEARD if queue.waiting() else NOBODY_BEFORE
        if not worker.is_leaving.is_set():
            queue.beat(worker.name)
    except redis.RedisError as error:
        log.warning("nobody is told that this worker is there: Valkey is away (%s)", error)
    try:
        sweep(unheard)
        alert(db.session)
    except sqlalchemy.exc.SQLAlchemyError:
        log.exception("the sweeper will try again")
    return found


def await_valkey() -> None:
    """Before that there is nothing to do; a supervisor would wait longer and longer between its tries."""
    while True:
        try:
            queue.store().ping()
            return
        except redis.RedisError as error:
            log.warning("waiting for Valkey: %s", error)
            time.sleep(ASK_AGAIN)


def tidy_forever(app: Flask, name: str, stopping: threading.Event) -> None:
    """Every hour: is there something that is kept no longer, and is it time to look for files that nothing names?"""
    while not stopping.wait(TIDY_EVERY):
        try:
            with app.app_context():
                keep_to_retention()
                forget_audit()
                unused_files.sweep_daily(name)
        except Exception:
            log.exception("what is to go could not be looked for; it is tried again")


def main() -> int:
    with starting():
        from .. import create_core

        app = create_core()
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_EVERY)
    settings = app.extensions["dataelan_settings"]
    if settings.keeps_to_one:
        keep_to_one(settings.data_dir)
    # A connection of its own: RQ makes those of its pool wait for minutes.
    messages = queue.prompts(queue.connect(settings.redis_url))
    with app.app_context():
        await_valkey()
        worker = PooledWorker(app, [messages], settings.worker_concurrency)
        queue.beat(worker.name)
        for name, task, parameters in (
            ("sweeper", sweep_forever, (app, worker)),
            ("deliverer", deliver_forever, (app, worker.is_leaving)),
            ("pump", pump_forever, (app, worker.is_leaving)),
            ("actor", act_forever, (app, worker.is_leaving)),
            ("actions-deliverer", deliver_calls_forever, (app, worker.is_leaving)),
            ("exporter", look_after_forever, (app, worker.is_leaving)),
            ("counter", keep_forever, (app, worker.is_leaving, ended.count)),
            ("recounter", recount_forever, (app, worker.is_leaving)),
            ("indexer", index_forever, (app, worker.is_leaving)),
            ("summarizer", summarize_forever, (app, worker.is_leaving)),
            ("tidier", tidy_forever, (app, worker.name, worker.is_leaving)),
        ):
            threading.Thread(target=task, args=parameters, name=name, daemon=True).start()
        if settings.metrics_token:
            about = (app, "worker", worker.is_leaving)
            threading.Thread(target=process.publish_forever, args=about, name="publisher", daemon=True).start()
        worker.work(logging_level="WARNING")
    if not worker.is_whole:  # threads that still run would be waited for
        log.warning("some of what was begun could not be ended in time; its leases run out, and a sweeper ends it")
        logging.shutdown()
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
