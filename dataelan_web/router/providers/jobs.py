"""What polled jobs have in common: one JSON document an answer, and how a job fails."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from dataelan_web.router.providers import failures
from dataelan_web.router.providers.format import Format
from dataelan_web.router.providers.framing import Frame, decoder
from dataelan_web.router.providers.json_values import broken
from dataelan_web.router.types import JOB_FAILED, Decoder, Event, Failure, Kind

PICTURE_POLL, FILM_POLL = 1.0, 3.0
"""Seconds between two questions. A picture takes some ten seconds to make, a film minutes."""

_LONGEST_FILM = 24 * 3600

Read = Callable[[Mapping[str, Any]], Iterator[Event]]


class JobFormat(Format, ABC):
    """Answers are one JSON object each: that of the request, then that of every poll."""

    def decoder(self) -> Decoder:
        return decoder(_Documents(self.read))

    @abstractmethod
    def read(self, document: Mapping[str, Any]) -> Iterator[Event]: ...


class _Documents:
    def __init__(self, read: Read):
        self._read = read
        self._seen = False

    def read(self, frame: Frame) -> Iterator[Event]:
        if not frame.whole or not isinstance(frame.document, dict):
            raise broken("The provider's answer is JSON, but not a job's. Check the base URL.")
        self._seen = True
        yield from self._read(frame.document)

    def end(self) -> Iterator[Event]:
        if not self._seen:
            raise broken("The provider's answer is empty.")
        self._seen = False
        yield from ()


def failed(error: Any, kind: Kind | None = None) -> Failure:
    """A job that failed, from the provider's words for it: text or an error document. It has no status: the request
    was taken, and may have been paid for, so nothing repeats it by itself."""
    document = error if isinstance(error, Mapping) else {"message": error}
    reported = failures.reported(document)
    if reported.message:
        failure = failures.failure_in_answer(document)
    else:
        failure = Failure(Kind.TRANSIENT, "The job failed at the provider, which did not say why.")
    failure.kind = kind or failure.kind
    failure.status, failure.code = None, JOB_FAILED
    return failure


def cancelled() -> Failure:
    return Failure(Kind.ABORTED, "The job was cancelled at the provider.", code=JOB_FAILED)


def is_home(url: str, base_url: str) -> bool:
    """Does an address from an answer lie at the provider's own origin? Others are not followed."""
    try:
        parts, home = urlsplit(url), urlsplit(base_url)
        return (parts.scheme, parts.hostname, parts.port) == (home.scheme, home.hostname, home.port)
    except ValueError:
        return False


def share(log: str) -> float | None:
    """The last percentage of a job's log, written by tqdm: ` 42%|####      | 21/50`."""
    found = re.findall(r"(\d{1,3})%\|", log[-10_000:], re.ASCII)
    return min(int(found[-1]), 100) / 100 if found else None


def seconds(value: Any) -> Decimal | None:
    """A film's length: a number, or text such as "8" and "8s"; None for anything else."""
    if isinstance(value, str):
        said = re.fullmatch(r"(\d{1,5}(?:\.\d{1,3})?)s?", value.strip(), re.ASCII)
        return Decimal(said[1]) if said else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return Decimal(str(value)) if 0 < value <= _LONGEST_FILM else None
