"""200 prompts of one second each, submitted at once, by one worker process."""

from __future__ import annotations

import contextlib
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
from flask import Flask
from sqlalchemy import func, select

from dataelan_web.executions.submit import Request, submit
from dataelan_web.extensions import db
from dataelan_web.models import Execution, Origin, Project, State
from dataelan_web.router.types import Prompt, user

from .report import line
from .stack import Stack, running

PROMPTS = 200
PATIENCE = 60


def measure() -> None:
    with running() as stack:
        project_id = stack.bootstrap()["project"]
        app = stack.app()
        for count in (20, PROMPTS):  # the first round warms pools and imports
            ids = submit_at_once(app, project_id, count)
            finished, first, spent, memory = watch(app, ids, stack)
        line(f"{PROMPTS} prompts of 1 s: all finished", f"{finished:.2f} s", "bar: 4 s after the first submit")
        line("first token after the first submit, median", f"{first:.2f} s", "bar: 1.2 s")
        line("worker CPU a prompt", f"{spent / PROMPTS * 1000:.1f} ms")
        line("worker memory", f"{memory / 2**20:.0f} MB", "bar: 200 MB")


def submit_at_once(app: Flask, project_id: str, count: int) -> list[str]:
    def one(_: int) -> str:
        with app.app_context():
            project = db.session.get_one(Project, project_id)
            prompt = Prompt(messages=(user("Take a second."),))
            request = Request(project, prompt, Origin.PLAYGROUND, "simulated/simulated-second", None)
            return str(submit(request).id)

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(one, range(count)))


def watch(app: Flask, ids: list[str], stack: Stack) -> tuple[float, float, float, int]:
    """(until the last finish, median until the first token, the worker's CPU; peak memory), from the first submit."""
    worker = worker_of(stack)
    before, memory = sum(worker.cpu_times()[:2]), 0
    with app.app_context():
        mine = Execution.id.in_(ids)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and db.session.scalar(
            select(func.count()).where(mine, Execution.finished_at.is_(None))
        ):
            memory = max(memory, worker.memory_info().rss)
            db.session.rollback()
            time.sleep(0.1)
        rows = db.session.execute(
            select(Execution.created_at, Execution.first_token_at, Execution.finished_at, Execution.state).where(mine)
        ).all()
    failed = [row for row in rows if row.state is not State.COMPLETED]
    if failed:
        raise SystemExit(f"{len(failed)} of {len(rows)} prompts did not complete")
    started = min(row.created_at for row in rows)
    firsts = [(row.first_token_at - started).total_seconds() for row in rows]
    last = max(row.finished_at for row in rows)
    spent = sum(worker.cpu_times()[:2]) - before
    return (last - started).total_seconds(), statistics.median(firsts), spent, memory


def worker_of(stack: Stack) -> psutil.Process:
    """The worker itself, not the launcher that keeps it tied to its supervisor."""
    workers = []
    for child in psutil.Process(stack.supervisor.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it may have ended since it was listed
            if child.cmdline()[1:] == ["-m", "dataelan_web.jobs.worker"]:
                workers.append(child)
    return workers[-1]
