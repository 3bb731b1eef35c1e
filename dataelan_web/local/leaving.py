"""`make run`, asked to stop: answers end first, and the person at the terminal knows what is waited for."""

import time
from collections.abc import Mapping

from . import answers
from .supervisor import Supervisor
from .terminal import Terminal, say

AT_WORK = ("web", "worker")
ONE_WISH = 1.0  # seconds in which several signals are one: make is told of Ctrl-C as well, and its end is a signal too
LOOKS_EVERY = 1.0


class Wishes:
    """How often we were asked to stop."""

    def __init__(self) -> None:
        self.count = 0
        self._last = 0.0

    def add(self) -> int:
        """The how manieth this is; 0: it is one with the last."""
        now = time.monotonic()
        is_one_with_the_last = self.count and now - self._last < ONE_WISH
        self._last = now
        if is_one_with_the_last:
            return 0
        self.count += 1
        return self.count


def leave(supervisor: Supervisor, environ: Mapping[str, str], terminal: Terminal, wishes: Wishes) -> None:
    """Web and worker take nothing new, and end what they have begun; asked once more, they interrupt it."""
    heard, counter = wishes.count, Counter(environ)
    supervisor.ask(*AT_WORK)
    while supervisor.stopping(*AT_WORK):
        terminal.show()
        if wishes.count > heard:
            heard = wishes.count
            say("Ending them now. What had arrived is kept." if heard == 2 else "Ending at once.")
            supervisor.ask(*AT_WORK)
        elif heard == 1:
            counter.tell()
        time.sleep(0.1)


class Counter:
    """Says how many answers are waited for, when that changes."""

    def __init__(self, environ: Mapping[str, str]):
        self._environ = environ
        self._told: int | None = 0
        self._looks_at = 0.0

    def tell(self) -> None:
        if time.monotonic() < self._looks_at:
            return
        found = answers.running(self._environ)
        self._looks_at = time.monotonic() + LOOKS_EVERY
        if found == self._told:
            return
        if self._told:
            say(f"{found or 'no'} left")
        else:
            say(f"Waiting for {words(found)} to end. Again (Ctrl-C) to end them now; what has arrived is kept.")
        self._told = found


def words(count: int | None) -> str:
    if count is None:
        return "what runs"
    return "one answer" if count == 1 else f"{count} answers"
