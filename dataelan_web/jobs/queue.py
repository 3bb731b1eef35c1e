"""The RQ queue: what can be done later. Messages carry an id and a fence, as JSON; never text, never a key."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis
import rq
from flask import Flask, current_app
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq.serializers import JSONSerializer
from rq.utils import utcparse

log = logging.getLogger(__name__)

NAME = "prompts"
WORKERS = "dataelan:workers"
HEARD_WITHIN = 15
"""Seconds; some rounds of a worker's sweeper, slow ones too."""
ANSWERS_WITHIN = 5.0
"""Seconds that Valkey has for an answer. A read that is meant to wait must wait less."""
# By Valkey's clock, as those of the machines may differ.
BEAT = """
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 3600)
"""
COUNT = "return redis.call('ZCOUNT', KEYS[1], redis.call('TIME')[1] - ARGV[1], '+inf')"
STIRRED = "dataelan:batches"
EXECUTE = "dataelan_web.jobs.tasks.execute"
EXPORT = "dataelan_web.jobs.tasks.export_runs"


def connect(url: str, connections: int = 1000) -> redis.Redis:
    """redis-py allows 100 connections by default, fewer than prompts and readers that wait at once."""
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=5,
        socket_connect_timeout=3,
        socket_timeout=ANSWERS_WITHIN,
        health_check_interval=30,
        encoding_errors="replace",  # half a surrogate pair, as a model may write one, is no reason to stop
    )
    return redis.Redis(connection_pool=pool)


def init_app(app: Flask, redis_url: str) -> None:
    app.extensions["dataelan_redis"] = connect(redis_url)
    app.extensions["dataelan_queue"] = prompts(app.extensions["dataelan_redis"])


def prompts(connection: redis.Redis) -> rq.Queue:
    return rq.Queue(NAME, connection=connection, serializer=JSONSerializer)


def store() -> redis.Redis:
    """The Valkey connection pool of this process."""
    connection: redis.Redis = current_app.extensions["dataelan_redis"]
    return connection


def within(seconds: float, valkey: redis.Redis) -> redis.Redis:
    """The same server, by connections that wait no longer. One that was cut is made anew, once."""
    pool = valkey.connection_pool
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    patience = {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": retry}
    settings = {**pool.connection_kwargs, **patience, "health_check_interval": 0}
    pool = redis.ConnectionPool(pool.connection_class, max_connections=10_000, **settings)
    return redis.Redis(connection_pool=pool)


def beat(worker: str) -> None:
    """A worker says that it is there. RQ's own registration outlives a killed worker by minutes."""
    store().eval(BEAT, 1, WORKERS, worker)


def leave(worker: str) -> None:
    store().zrem(WORKERS, worker)


def workers() -> int:
    """How many workers were heard of lately."""
    return int(store().eval(COUNT, 1, WORKERS, HEARD_WITHIN))


@dataclass(frozen=True)
class Worker:
    """One that says that it is there. Times in seconds; what RQ has not told is None or empty."""

    name: str
    silent: float
    age: float | None
    machine: str
    pid: str

    @property
    def is_late(self) -> bool:
        return self.silent > HEARD_WITHIN / 2


def heard() -> list[Worker]:
    """Who was heard of lately, the oldest first."""
    valkey: Any = store()
    moment, beats = float(valkey.time()[0]), valkey.zrange(WORKERS, 0, -1, withscores=True)
    return sorted(
        (_told(str(name, "utf-8"), moment - at, moment) for name, at in beats if moment - at <= HEARD_WITHIN),
        key=lambda worker: -(worker.age or 0),
    )


def _told(name: str, silent: float, moment: float) -> Worker:
    """With what RQ keeps of it."""
    kept: Any = store().hmget(f"rq:worker:{name}", "birth", "hostname", "pid")
    born, machine, pid = (str(value or b"", "utf-8") for value in kept)
    age = max(moment - utcparse(born).timestamp(), 0) if born else None
    return Worker(name, max(silent, 0), age, machine, pid)


def memory() -> str:
    """Changes when Valkey was started anew, and so has forgotten every message."""
    return str(store().info("server")["run_id"])


def waiting() -> int:
    """How many messages nobody has taken."""
    return int(store().llen(current_app.extensions["dataelan_queue"].key))


def execute_later(execution_id: uuid.UUID, fence: int, handed_on: Mapping[str, str] | None = None) -> bool:
    """Wake a worker for this execution. False: Valkey is away, and the row waits for the sweeper. `handed_on`: names of
    the request and the trace that it is a part of."""
    return _later(EXECUTE, execution_id, f"execution-{execution_id}-{fence}", handed_on)


def export_later(export_id: uuid.UUID, fence: int) -> bool:
    """Wake a worker for this export of runs, as for an execution."""
    return _later(EXPORT, export_id, f"export-{export_id}-{fence}")


def _later(task: str, id: uuid.UUID, job_id: str, handed_on: Mapping[str, str] | None = None) -> bool:
    try:
        current_app.extensions["dataelan_queue"].enqueue(
            task,
            str(id),
            job_id=job_id,
            job_timeout=-1,  # our own deadlines hold; RQ's cannot interrupt a thread
            result_ttl=0,
            failure_ttl=3600,
            description=task.rpartition(".")[2],
            meta=dict(handed_on or {}),
        )
    except redis.RedisError:
        log.warning("the queue is away; %s waits for the sweeper", job_id)
        return False
    return True


def stir() -> None:
    """A run of a batch has ended, or somebody wants it to go on: whoever moves batches looks at once."""
    try:
        with store().pipeline(transaction=False) as pipeline:
            pipeline.lpush(STIRRED, "1")
            pipeline.ltrim(STIRRED, 0, 0)
            pipeline.execute()
    except redis.RedisError:
        log.warning("the queue is away; batches go on by themselves in a moment")


def await_stir(seconds: float) -> None:
    """Until somebody stirs, or for so long."""
    store().blpop([STIRRED], timeout=seconds)
