"""How much memory the answers of all calls of a process take together: a bound, whatever providers send at once.

A byte that came and is not understood yet costs several: it lies beside its text, and that beside what is made of it,
what is stored and what is passed on (COST and ANSWERS, as measured). One that is understood costs by what became of
it. So a stream costs what is kept of its words, and a whole answer the most that it will take until it has gone on its
way. An answer of usual size takes nothing; a larger one takes in steps as it comes, or at once what it announces, and
waits a little where there is no room.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
import weakref
from collections.abc import Callable
from types import TracebackType

from .prompt import Task
from .stop import Stop
from .types import (
    OUR_OWN,
    Asset,
    Done,
    Embedding,
    Event,
    Failure,
    Kind,
    Reasoning,
    Segment,
    Sound,
    Text,
    ToolCall,
    Usage,
)

MEGABYTE = 1024 * 1024
COST, FILE_COST, VECTOR_COST, LIKELY_COST = 6, 3, 72, 600
"""Bytes of memory for one of a text, for one of a file, for a number of a vector, and for how likely a token was."""
FREE, STEP = MEGABYTE // 2, MEGABYTE
"""What an answer takes without asking, one piece from the wire with it, and how much at a time from there on."""
PATIENCE, TICK = 20.0, 0.2
"""Seconds that an answer waits for room, and after which it looks whether it was stopped."""
M_MMAP_THRESHOLD = -3
"""glibc's name for it in mallopt(3)."""
DEFAULT = 512 * MEGABYTE
WORDS = (24 * MEGABYTE, COST)
ANSWERS = dict.fromkeys((Task.IMAGE, Task.SPEECH, Task.VIDEO), (64 * MEGABYTE, 4)) | {
    Task.EMBEDDING: (64 * MEGABYTE, COST)
}
"""By what is asked for: the most bytes of one answer that are kept or wait to be understood, and what one of them
costs. Else WORDS, with a picture or two among them. 2,000 vectors are written with 60 MB."""
NO_ROOM = "Dataelan has too little memory left for an answer of this size just now. Try again in a moment."


def free_large_blocks_at_once() -> None:
    """Of this process: what takes a megabyte gets pages of its own, which go back to the system with it. Left to
    itself, glibc learns from each large block that is freed to keep larger ones: 700 MB after 6 answers of 20 MB."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MEGABYTE)


def give_back_what_is_free() -> None:
    """Of this process, to the system: of the pages between what is in use, glibc gives back none by itself. After
    streams on 256 threads that is an eighth of all. It takes some 20 ms, and who wants memory meanwhile waits."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


class Room:
    """Bytes that the answers of a process may take. Shared by all its threads.

    Of several that grow, and none of which says how far, each could hold what another needs until all fail. So one of
    them leads: for what it may still come to, room is kept, and the others take of the rest or wait for it."""

    def __init__(self, size: int = DEFAULT):
        self.size = self._left = size
        self._leader: Callable[[], Share | None] = _nobody
        self._freed = threading.Condition()  # of a lock that its thread may take again, as a collected Share would

    @property
    def taken(self) -> int:
        return self.size - self._left

    def share(self) -> Share:
        return Share(self)

    def take(self, size: int, until: float, is_over: Callable[[], bool], share: Share | None = None) -> bool:
        """False: there was no room until then (time.monotonic()), or it is over."""
        with self._freed:
            while not self._fits(size, share):
                seconds = until - time.monotonic()
                if size > self.size or seconds <= 0 or is_over():
                    return False
                self._freed.wait(min(seconds, TICK))
            self._left -= size
            return True

    def give_back(self, size: int, share: Share | None = None) -> None:
        """`share`: it grows no more."""
        with self._freed:
            self._left += size
            if share and self._leader() is share:
                self._leader = _nobody
            self._freed.notify_all()

    def _fits(self, size: int, share: Share | None) -> bool:
        leader = self._leader()
        if leader is None and share:
            self._leader, leader = weakref.ref(share), share
        return self._left - size >= (leader.claim if leader and leader is not share else 0)


def _nobody() -> None:
    return None


class Share:
    """What one run's answer takes. Used by one thread at a time; given back by whoever holds the answer last."""

    def __init__(self, room: Room):
        self._room = room
        self._taken = self._kept = self._held = self._expected = 0
        self._allowed = FREE
        self._most, self._cost = WORDS

    def __enter__(self) -> Share:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.give_back()

    def __del__(self) -> None:
        self.give_back()

    @property
    def claim(self) -> int:
        """What it may still come to."""
        return max(0, (self._expected or self._most) * self._cost - self._taken)

    def begin(self, task: Task) -> None:
        """A call; what came of one before it is forgotten, but for what was kept."""
        self._held, self._expected = self._kept, 0
        self._most, self._cost = ANSWERS.get(task, WORDS)

    def expect(self, size: int, *, is_file: bool = False) -> None:
        """So many bytes are announced: if they need room they take it at once, before any of them came. Raises Failure
        where they are too many."""
        if size > self._most and not is_file:
            raise too_large(self._most)
        self._expected = size

    def came(self, size: int, until: float, stop: Stop, *, is_file: bool = False) -> None:
        """So many bytes more, to be understood or, of a file, to be kept. Raises Failure where they are too many for
        one answer, or find no room until then (time.monotonic())."""
        cost = FILE_COST if is_file else self._cost
        self._held = wanted = self._held + size * cost
        if wanted > self._allowed:
            if wanted > self._most * cost and not is_file:
                raise too_large(self._most)
            self._grow(max(wanted, self._kept + self._expected * cost), until, stop)

    def became(self, event: Event) -> None:
        """What came is understood, and this was in it."""
        if isinstance(event, Text):  # as most are, of which there are thousands
            kept = _of_text(event.delta)
            if event.logprobs:
                kept += LIKELY_COST * sum(1 + len(one["top_logprobs"]) for one in event.logprobs)
        else:
            kept = _kept_of(event)
        self._held = self._kept = self._kept + kept

    def shrink(self, size: int) -> None:
        """No more than this is held from now on."""
        self._held = self._kept = size
        self._give_back(max(0, self._taken - size))

    def give_back(self) -> None:
        """All of it. May be done twice."""
        self._give_back(self._taken)

    def _grow(self, wanted: int, until: float, stop: Stop) -> None:
        more = -(-(wanted - FREE) // STEP) * STEP - self._taken
        if not self._room.take(more, min(until, time.monotonic() + PATIENCE), lambda: stop.requested, self):
            if stop.requested:
                raise Failure(Kind.ABORTED, "Stopped.")
            raise Failure(Kind.TRANSIENT, NO_ROOM, code=OUR_OWN)
        self._taken += more
        self._allowed = self._taken + FREE

    def _give_back(self, size: int) -> None:
        if self._taken:
            self._taken -= size
            self._allowed = self._taken + FREE
            self._room.give_back(size, self)


def too_large(most: int) -> Failure:
    return Failure(Kind.TRANSIENT, f"The answer is larger than Dataelan accepts ({most // MEGABYTE} MB).")


def _kept_of(event: Event) -> int:
    """What it takes until the answer has gone on its way. A piece of a sound is kept for the whole."""
    match event:
        case Usage() | Done():
            return 0
        case Reasoning(delta=text) | ToolCall(arguments=text) | Segment(text=text):
            return _of_text(text)
        case Asset(content=content) | Sound(content=content):
            return FILE_COST * len(content)
        case Embedding(vector=vector):
            return VECTOR_COST * len(vector)
    return 0


def _of_text(text: str) -> int:
    return COST * (len(text) if text.isascii() else 4 * len(text))
