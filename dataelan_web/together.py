"""What several threads ask of the database at the same moment goes in one message, as one statement.

Whoever comes while none is under way sends its own; who comes meanwhile waits until that is answered, and the first of
those sends the next, for all of them. So the more there are, the less each costs: PostgreSQL plans, opens tables and
flushes once a message, and so do we. Nobody waits for somebody who may still come.

Nobody suffers for another. A message that fails has written nothing, and says of none whose it was: then each says its
own alone. It waits for nobody's lock for longer than LOCKED. Where its connection is lost, nobody knows what it wrote,
and each is told so.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import DBAPIError

UNDER_WAY = 1
"""Messages of one kind, of one process. Several would wait for each other, where they are of the same limits."""
MOST, LARGEST = 32, 256 * 1024
"""Of one message: how many, and characters. What is larger goes alone, at once, and nobody waits for it."""
PATIENCE = 0.25
"""Seconds that one message may be under way, until who waits for the next goes alone."""
LOCKED = "300ms"
"""How long a message of several may wait for a lock."""

Asked = TypeVar("Asked")
Told = TypeVar("Told")


class Together(Generic[Asked, Told]):
    """One kind of message. `say` sends one, and tells what each of those who asked is told, in their order; `size` is
    how large one is, in characters."""

    def __init__(self, say: Callable[[Sequence[Asked]], Sequence[Told]], size: Callable[[Asked], int] = lambda one: 0):
        self._say, self._size = say, size
        self._lock = threading.Lock()
        self._waiting: deque[_Asking[Asked, Told]] = deque()
        self._under_way = 0
        self._since = 0.0
        """When the last that is under way was sent."""

    def ask(self, asked: Asked) -> Told:
        """Raises what `say` raises for it."""
        mine: _Asking[Asked, Told] = _Asking(asked, self._size(asked))
        if mine.size > LARGEST:
            return self._say([asked])[0]
        with self._lock:
            mine.sends = self._under_way < UNDER_WAY
            if mine.sends:
                self._under_way += 1
            else:
                self._waiting.append(mine)
        while not (mine.sends or mine.has_heard(PATIENCE)):
            if self._goes_alone(mine):
                return self._say([asked])[0]
        if mine.sends:
            self._send(mine)
        if mine.error is not None:
            raise mine.error
        if mine.told is None:
            return self._say([asked])[0]
        return mine.told[0]

    def _goes_alone(self, mine: _Asking[Asked, Told]) -> bool:
        """Not while messages are answered and others are before it: many would go alone where many wait."""
        with self._lock:
            if mine not in self._waiting or time.monotonic() - self._since < PATIENCE:
                return False
            self._waiting.remove(mine)
            return True

    def _send(self, mine: _Asking[Asked, Told]) -> None:
        with self._lock:
            self._since = time.monotonic()
            batch = [mine, *self._others(mine.size)]
        try:
            for one, told in zip(batch, self._say([one.asked for one in batch]), strict=True):
                one.told = (told,)
        except BaseException as error:
            if len(batch) == 1 or not isinstance(error, DBAPIError) or error.connection_invalidated:
                for one in batch:
                    one.error = error
        finally:
            with self._lock:
                following = self._waiting.popleft() if self._waiting else None
                self._under_way -= following is None
            if following:
                following.sends = True
                following.hear()
            for one in batch[1:]:
                one.hear()

    def _others(self, size: int) -> list[_Asking[Asked, Told]]:
        """What waits, from the first on, as much as goes in one message. The lock is held."""
        taken: list[_Asking[Asked, Told]] = []
        while self._waiting and len(taken) < MOST - 1 and (size := size + self._waiting[0].size) <= LARGEST:
            taken.append(self._waiting.popleft())
        return taken


class _Asking(Generic[Asked, Told]):
    """One that asks, until it is answered or is to send what waits."""

    def __init__(self, asked: Asked, size: int):
        self.asked, self.size = asked, size
        self.sends = False
        self.told: tuple[Told] | None = None
        self.error: BaseException | None = None
        self._gate = threading.Lock()
        self._gate.acquire()

    def has_heard(self, seconds: float = -1) -> bool:
        return self._gate.acquire(timeout=seconds)

    def hear(self) -> None:
        self._gate.release()
