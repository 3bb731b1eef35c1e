"""How a call in flight is stopped, in whatever it waits."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Stop:
    """A person's wish that a call ends now. Another thread may ask; what the call waits for is ended."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.requested = False
        """As `_asked` says, for who looks at each piece of an answer. Set by `request` only."""
        self.is_cut = False
        """Nobody wishes it: this process is to end, and waits no longer."""
        self.is_lost = False
        """Nobody wishes it: the run is another worker's now, and its job must go on."""
        self._lock = threading.Lock()
        self._end: Callable[[], None] | None = None

    def cut(self) -> None:
        """Not where a person, or another worker, was first."""
        if not self.requested:
            self.is_cut = True
            self.request()

    def lose(self) -> None:
        self.is_lost = True
        self.request()

    def request(self) -> None:
        self.requested = True
        self._asked.set()
        with self._lock:
            if self._end is not None:
                self._end()

    def wait(self, seconds: float) -> bool:
        """Sleep unless or until asked to stop. True: asked."""
        return self._asked.wait(seconds)

    def watch(self, end: Callable[[], None]) -> None:
        """`end`, which must not raise nor wait, ends what the call waits for from now on: by whoever asks to stop, or
        at once where that was asked."""
        with self._lock:
            self._end = end
        if self.requested:
            self.request()

    def unwatch(self) -> None:
        with self._lock:
            self._end = None
