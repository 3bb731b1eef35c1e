"""What each process says of itself every few seconds, and the requests that it answered meanwhile."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections import Counter
from typing import cast

import redis
from flask import Flask, Response, current_app, g, request

from .. import pool
from ..api_errors import PATHS
from ..executions.keeper import keeper
from ..extensions import db
from ..jobs.queue import store
from .families import ANSWERED, CONNECTIONS, CPU, FILES, MEMORY, REQUESTS, RUNNING, STARTED, THREADS
from .store import PROCESSES, Key, add, observed

log = logging.getLogger(__name__)

EVERY = 5.0
HEARD_WITHIN = 20
"""Seconds after which a process that says nothing is taken to be gone."""
FORGOTTEN = 3600
METHODS = {"GET", "POST", "HEAD"}
SAY = """
local now = redis.call('TIME')[1]
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
    local said = redis.call('HGET', KEYS[1], name)
    if tonumber(string.match(said, '^%d+')) < now - tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], name) end
end
"""

_counts: Counter[Key] = Counter()
_lock = threading.Lock()
_publisher: threading.Thread | None = None


def init_app(app: Flask) -> None:
    """A web counts what it answers, and begins to speak of itself with its first request: what only imports it, such
    as a command, does not."""
    if app.extensions["dataelan_settings"].metrics_token:
        app.before_request(_begin)
        app.after_request(_count)


def _begin() -> None:
    g.arrived = time.perf_counter()
    global _publisher
    if _publisher is None:
        with _lock:
            if _publisher is None:
                app = current_app._get_current_object()  # type: ignore[attr-defined]
                _publisher = threading.Thread(
                    target=publish_forever, args=(app, "web", threading.Event()), name="publisher", daemon=True
                )
                _publisher.start()


def _count(response: Response) -> Response:
    if "arrived" in g and request.endpoint != "metrics.show":
        door = "gateway" if request.path.startswith(PATHS) else "health" if request.blueprint == "health" else "page"
        method = request.method if request.method in METHODS else "other"
        with _lock:
            _counts[(REQUESTS.name, door, method, f"{response.status_code // 100}xx")] += 1
            observed(_counts, ANSWERED, (door,), time.perf_counter() - g.arrived)
    return response


def publish_forever(app: Flask, kind: str, stopping: threading.Event) -> None:
    """Until a worker is asked to stop; a web's ends with it."""
    name = f"{kind}-{socket.gethostname()}-{os.getpid()}"
    while True:
        try:
            with app.app_context():
                publish(name)
        except Exception:  # this thread must not end: the process would look dead
            log.exception("what this process is doing could not be told; it is tried again")
        if stopping.wait(EVERY):
            return


def publish(name: str) -> None:
    """What was counted since the last time, and how this process is."""
    with _lock:
        counted = Counter(_counts)
        _counts.clear()
    add(counted)
    try:
        store().eval(SAY, 1, PROCESSES, name, json.dumps(_itself()), FORGOTTEN)
    except redis.RedisError as error:
        log.warning("nobody is told how this process is: %s", error)


def heard() -> dict[str, dict[str, float]]:
    """{process: {family: value}} of those that were heard of lately."""
    now = int(store().time()[0])
    found = {}
    for name, said in cast("dict[bytes, bytes]", store().hgetall(PROCESSES)).items():
        at, _, facts = said.decode().partition(" ")
        if int(at) >= now - HEARD_WITHIN:
            found[name.decode()] = json.loads(facts)
    return found


def _itself() -> dict[str, float]:
    import psutil  # only where metrics are asked for: it takes a while to be imported

    process = psutil.Process()
    with process.oneshot():
        times = process.cpu_times()
        return {
            CPU.name: times.user + times.system,
            MEMORY.name: process.memory_info().rss,
            THREADS.name: process.num_threads(),
            FILES.name: process.num_fds(),
            STARTED.name: process.create_time(),
            CONNECTIONS.name: db.engine.pool.checkedout() + len(pool.lines()),  # type: ignore[attr-defined]
            RUNNING.name: keeper().running,
        }
