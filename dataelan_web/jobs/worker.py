"""One registered RQ worker that runs many prompts at once: waiting on a provider is not work.

RQ's base worker already tracks several executions; `execute_job` hands each job to a thread behind a semaphore.
RQ is the wake-up call only: claims, leases and deadlines are ours, in PostgreSQL and in the router.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import rq
import sqlalchemy.exc
from flask import Flask
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty
from rq.worker import SimpleWorker

from ..executions import unused_files
from ..executions.sweep import EVERY, sweep
from ..extensions import db
from ..notify.deliver import deliver_forever
from ..notify.limits import alert
from ..starting import starting
from . import queue
from .tasks import ALLOWED

log = logging.getLogger(__name__)

SWITCH_EVERY = 0.0005
TIDY_EVERY = 3600.0
"""Seconds a thread may keep the interpreter from others. Python's 5 ms make the thread that takes messages wait
behind every prompt's thread, at each of its round trips to Valkey."""


class NamedJob(Job):
    """A job that can only be one of tasks.ALLOWED, whatever a message in Valkey says."""

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

    def __init__(self, app: Flask, queues: list[rq.Queue], concurrency: int):
        super().__init__(
            queues,
            connection=app.extensions["dataelan_redis"],
            serializer=JSONSerializer,
            job_class=NamedJob,
            log_job_description=False,
        )
        self.app = app
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="prompt")
        self._free = threading.Semaphore(concurrency)
        self._beat_at = self._asked_at = 0.0

    def execute_job(self, job: Job, queue: rq.Queue) -> None:
        """Take the message off the queue's books, and the work to a thread. From here on PostgreSQL keeps track:
        a message that dies with us is made anew by a sweeper."""
        self._free.acquire()
        self._pool.submit(self._perform, job, queue)

    def _perform(self, job: Job, queue: rq.Queue) -> None:
        try:
            with self.connection.pipeline(transaction=False) as pipeline:
                pipeline.lrem(queue.intermediate_queue_key, 1, job.id)
                pipeline.delete(job.key)
                pipeline.execute()
            with self.app.app_context():
                job.perform()
        except Exception:
            log.exception("job %s broke; the sweeper has the execution", job.id)
        finally:
            self._free.release()

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ beats three times a job; once a second tells as much."""
        if time.monotonic() - self._beat_at >= 1 or pipeline is not None:
            self._beat_at = time.monotonic()
            super().heartbeat(timeout, pipeline)

    def check_for_suspension(self, burst: bool) -> None:
        """Asked once a second, not once a message."""
        if time.monotonic() - self._asked_at >= 1:
            self._asked_at = time.monotonic()
            super().check_for_suspension(burst)

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Between two messages nothing changes: we are always ready for another."""
        if state != self._state:
            super().set_state(state, pipeline)

    def teardown(self) -> None:
        """A warm shutdown: what is in flight is finished before the worker leaves."""
        self._pool.shutdown(wait=True)
        super().teardown()  # type: ignore[no-untyped-call]


def sweep_forever(app: Flask, name: str, stopping: threading.Event) -> None:
    """Every few seconds: say that this worker is there, end what died, and tell who is near a limit."""
    while not stopping.wait(EVERY):
        try:
            with app.app_context():
                queue.beat(name)
                sweep()
                alert(db.session)
        except sqlalchemy.exc.SQLAlchemyError:
            log.exception("the sweeper will try again")
        except Exception:
            log.exception("the sweeper met something unexpected and goes on")


def tidy_forever(app: Flask, name: str, stopping: threading.Event) -> None:
    """Every hour: is it time to look for files that nothing names any more?"""
    while not stopping.wait(TIDY_EVERY):
        try:
            with app.app_context():
                unused_files.sweep_daily(name)
        except Exception:
            log.exception("unused files could not be looked for; it is tried again")


def main() -> int:
    with starting():
        from .. import create_app

        app = create_app()
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    sys.setswitchinterval(SWITCH_EVERY)
    concurrency = app.extensions["dataelan_settings"].worker_concurrency
    worker = PooledWorker(app, [queue.prompts(app.extensions["dataelan_redis"])], concurrency)
    stopping = threading.Event()
    for task in (sweep_forever, tidy_forever):
        threading.Thread(target=task, args=(app, worker.name, stopping), name=task.__name__, daemon=True).start()
    threading.Thread(target=deliver_forever, args=(app, stopping), name="deliverer", daemon=True).start()
    with app.app_context():
        queue.beat(worker.name)
        worker.work(logging_level="WARNING")
        stopping.set()
        queue.leave(worker.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
