"""Counters of all processes, in Valkey: a hash of whole numbers. They may be lost, and begin anew; a Prometheus knows
how to read that. What must not be lost is in PostgreSQL."""

from __future__ import annotations

import json
import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

import redis

from ..jobs.queue import store
from .families import Family

log = logging.getLogger(__name__)

COUNTERS, PROCESSES = "dataelan:metrics", "dataelan:metrics:processes"
SUM = "sum"

Key = tuple[str, ...]
"""Name of the family, values of its labels in their order; of a histogram then the place of a bucket, or SUM."""


def observed(counts: Counter[Key], family: Family, labels: Sequence[str], seconds: float) -> None:
    """One observation of a histogram."""
    counts[(family.name, *labels, str(bisect_left(family.buckets, seconds)))] += 1
    counts[(family.name, *labels, SUM)] += round(seconds / family.unit)


def add(counts: Mapping[Key, int]) -> None:
    """What cannot be added now is lost: whoever counts has more to do."""
    if not counts:
        return
    try:
        with store().pipeline(transaction=False) as pipeline:
            for key, count in counts.items():
                pipeline.hincrby(COUNTERS, json.dumps(key, ensure_ascii=False), count)
            pipeline.execute()
    except redis.RedisError as error:
        log.warning("metrics could not be added: %s", error)


def read() -> dict[Key, int]:
    return {tuple(json.loads(key)): int(count) for key, count in store().hgetall(COUNTERS).items()}
