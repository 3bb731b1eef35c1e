"""The RQ queue: what can be done later. Messages carry an id and a fence, as JSON; never text, never a key."""

from __future__ import annotations

import logging
import uuid

import redis
import rq
from flask import Flask, current_app
from rq.serializers import JSONSerializer

log = logging.getLogger(__name__)

NAME = "prompts"
EXECUTE = "dataelan_web.jobs.tasks.execute"


def connect(url: str, connections: int = 1000) -> redis.Redis:
    """redis-py allows 100 connections by default, fewer than prompts and readers that wait at once."""
    pool = redis.BlockingConnectionPool.from_url(
        url, max_connections=connections, timeout=5, socket_connect_timeout=3, health_check_interval=30
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


def execute_later(execution_id: uuid.UUID, fence: int) -> None:
    """Wake a worker for this execution. When Valkey is away the row waits for the sweeper."""
    try:
        current_app.extensions["dataelan_queue"].enqueue(
            EXECUTE,
            str(execution_id),
            job_id=f"execution-{execution_id}-{fence}",
            job_timeout=-1,  # our own deadlines hold; RQ's cannot interrupt a thread
            result_ttl=0,
            failure_ttl=3600,
            description="execute",
        )
    except redis.RedisError:
        log.warning("the queue is away; execution %s waits for the sweeper", execution_id)
