"""Jobs in Replicate's form, under /replicate/v1: `simulated/film` and `simulated/picture`.

    POST /models/{owner}/{name}/predictions   GET /predictions/{id}   POST /predictions/{id}/cancel
    GET /files/{id}/{name}

A job is its id: when it began, how long it takes and what it makes are written in there, so that asking after it needs
no memory and outlives this process. Only that it was cancelled is remembered. A film is an animated PNG.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dataelan_web.local.simulated import failures
from dataelan_web.local.simulated.making import json_of, text_in
from dataelan_web.local.simulated.painting import animation, png
from dataelan_web.local.simulated.pictures import seed_of
from dataelan_web.local.simulated.script import Script
from dataelan_web.local.simulated.wire import Frame, Reply, json_reply

PREFIX = "/replicate/v1"
JOB_FAILED = "job_failed"
FAILURES = (*failures.REFUSALS, JOB_FAILED)
MAKERS = {"simulated/film": Script(seconds=6), "simulated/picture": Script(seconds=2)}

USUAL_LENGTH, LONGEST = 4, 10  # seconds of film
PER_SECOND = 8  # frames
SIDE = 320  # pixels, the longer one
STEPS = 50  # in the log
_LAYOUT = ">QIBHHB8s"
_MAGIC = 0xD0
_FILM, _FAILS = 1, 2
_cancelled: deque[str] = deque(maxlen=1000)


@dataclass(frozen=True)
class Job:
    """Moments and lengths in milliseconds, but `length`: that of the film, in seconds; 0 of a picture."""

    born: int
    takes: int
    length: int
    width: int
    height: int
    fails: bool
    seed: bytes

    @property
    def id(self) -> str:
        flags = _MAGIC | _FILM * bool(self.length) | _FAILS * self.fails
        packed = struct.pack(_LAYOUT, self.born, self.takes, self.length, self.width, self.height, flags, self.seed)
        return base64.b32encode(packed).decode().rstrip("=").lower()

    @property
    def name(self) -> str:
        return "out.apng" if self.length else "out.png"

    @lru_cache(maxsize=8)  # noqa: B019 (a job is a small value, and few are kept)
    def file(self) -> bytes:
        if self.length:
            return animation(self.seed, self.width, self.height, self.length * PER_SECOND, PER_SECOND)
        return png(self.seed, self.width, self.height)


def job_of(id: str) -> Job | None:
    """None for an id that is none of ours."""
    try:
        packed = base64.b32decode(id.upper() + "=" * (-len(id) % 8))
        born, takes, length, width, height, flags, seed = struct.unpack(_LAYOUT, packed)
    except (binascii.Error, ValueError, struct.error):
        return None
    job = Job(born, takes, length, width, height, bool(flags & _FAILS), seed)
    good = length <= LONGEST and 1 <= width <= SIDE and 1 <= height <= SIDE and job.id == id
    return job if good and bool(flags & _FILM) == bool(length) else None


@dataclass(frozen=True)
class Order:
    """A request for a job. `words` may direct it (script.py)."""

    model: str
    words: str
    length: int
    width: int
    height: int


def read(path: str, body: bytes) -> Order:
    """Raises ValueError with a message for the caller."""
    data = json_of(body)
    found = re.fullmatch(r"/models/([^/]+/[^/]+)/predictions", path)
    model = found[1] if found else text_in(data, "version")
    inputs = data.get("input")
    if not isinstance(inputs, dict):
        raise ValueError("- input: Required")
    if not text_in(inputs, "prompt").strip():
        raise ValueError("- input: prompt is required")
    length = _length(inputs.get("duration")) if model.endswith("film") else 0
    return Order(model, text_in(inputs, "prompt"), length, *_shape(inputs.get("aspect_ratio")))


def _length(value: Any) -> int:
    if value is None:
        return USUAL_LENGTH
    if not re.fullmatch(r"\d{1,3}", str(value), re.ASCII) or not 1 <= int(value) <= LONGEST:
        raise ValueError(f"- input.duration: Must be from 1 to {LONGEST}")
    return int(value)


def _shape(ratio: Any) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d?):([1-9]\d?)", str(ratio or "16:9"), re.ASCII)
    if not found:
        raise ValueError("- input.aspect_ratio: Must be like 16:9")
    width, height = int(found[1]), int(found[2])
    longest = max(width, height)
    return max(1, SIDE * width // longest), max(1, SIDE * height // longest)


def started(order: Order, words: str, script: Script, home: str, now: float) -> Reply:
    """`home` is where this API lives, for the addresses in answers; `now` in seconds since 1970."""
    if script.fail in failures.REFUSALS:
        return failures.refuse(script.fail, script)
    seed = seed_of(words.encode())[:8]
    takes = round(1000 * script.end(1))
    fails = script.fail == JOB_FAILED
    job = Job(round(1000 * now), takes, order.length, order.width, order.height, fails, seed)
    return json_reply(_prediction(job, home, now) | {"input": _inputs(job) | {"prompt": words}}, 201)


def answered(method: str, path: str, home: str, now: float) -> Reply:
    """Whatever is asked of a job that was started."""
    _, place, id, *rest = [*path.split("/"), "", ""][:5]
    job = job_of(id)
    match method, place, rest[0]:
        case "GET", "predictions", "" if job:
            return json_reply(_prediction(job, home, now))
        case "POST", "predictions", "cancel" if job:
            if _share(job, now) < 1:
                _cancelled.append(id)
            return json_reply(_prediction(job, home, now))
        case "GET", "files", name if job and name == job.name and _status(job, now) == "succeeded":
            return Reply([Frame(0, job.file())], content_type="image/apng" if job.length else "image/png")
    return problem(404, "Not found", "The requested resource could not be found.")


def problem(status: int, title: str, detail: str) -> Reply:
    return json_reply({"title": title, "detail": detail, "status": status}, status)


def _prediction(job: Job, home: str, now: float) -> dict[str, Any]:
    status, place = _status(job, now), f"{home}/predictions/{job.id}"
    return {
        "id": job.id,
        "model": "simulated/film" if job.length else "simulated/picture",
        "version": "simulated",
        "input": _inputs(job),
        "logs": _log(_share(job, now)),
        "output": f"{home}/files/{job.id}/{job.name}" if status == "succeeded" else None,
        "error": "Simulated: the job failed." if status == "failed" else None,
        "status": status,
        "metrics": {"predict_time": job.takes / 1000} if status == "succeeded" else {},
        "urls": {"get": place, "cancel": f"{place}/cancel"},
    }


def _inputs(job: Job) -> dict[str, Any]:
    return {"duration": job.length} if job.length else {}


def _share(job: Job, now: float) -> float:
    """How much of it is done. A job that fails does so half-way."""
    passed = 1000 * now - job.born
    return min(max(passed / (job.takes or 1), 0.0), 1.0) if passed < job.takes else 1.0


def _status(job: Job, now: float) -> str:
    if job.id in _cancelled:
        return "canceled"
    share = _share(job, now)
    if job.fails and share >= 0.5:
        return "failed"
    return "succeeded" if share >= 1 else "processing" if share >= 0.1 else "starting"


def _log(share: float) -> str:
    """As tqdm writes it."""
    done = int(share * STEPS)
    lines = (f"{100 * step // STEPS:3d}%|{'#' * (step // 5):10}| {step}/{STEPS}" for step in range(0, done + 1, 5))
    return "Simulated: no AI model was asked.\n" + "\n".join(lines)
