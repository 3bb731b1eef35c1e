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

from ..executions.sweep import EVERY, sweep
from . import queue
from .tasks import ALLOWED

log = logging.getLogger(__name__)


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

    def execute_job(self, job: Job, queue: rq.Queue) -> None:
        self._free.acquire()
        execution = self.prepare_execution(job)
        self._pool.submit(self._perform, job, queue, execution)

    def _perform(self, job: Job, queue: rq.Queue, execution: Any) -> None:
        try:
            with self.app.app_context():
                self.perform_job(job, queue, execution)
        except Exception:
            log.exception("job %s was lost by the queue; the sweeper has the execution", job.id)
        finally:
            self._free.release()

    def teardown(self) -> None:
        """A warm shutdown: what is in flight is finished before the worker leaves."""
        self._pool.shutdown(wait=True)
        super().teardown()  # type: ignore[no-untyped-call]


def sweep_forever(app: Flask, stopping: threading.Event) -> None:
    while not stopping.wait(EVERY):
        try:
            with app.app_context():
                sweep()
        except sqlalchemy.exc.SQLAlchemyError:
            log.exception("the sweeper will try again")
        except Exception:
            log.exception("the sweeper met something unexpected and goes on")


def main() -> int:
    from .. import create_app

    app = create_app()
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    worker = PooledWorker(
        app, [queue.prompts(app.extensions["dataelan_redis"])], app.extensions["dataelan_settings"].worker_concurrency
    )
    stopping = threading.Event()
    threading.Thread(target=sweep_forever, args=(app, stopping), name="sweeper", daemon=True).start()
    started = time.monotonic()
    worker.work(logging_level="WARNING")
    stopping.set()
    log.info("worker stopped after %.0f s", time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
