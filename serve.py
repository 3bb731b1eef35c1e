"""The web: granian with our options, the same for `make run`, the Procfile and the image.

    python serve.py [--host 127.0.0.1] [--port 8000]

Asked to leave (SIGTERM, SIGINT), it takes no more connections, its pages' streams end so that browsers come back to
whoever serves them now, and answers that programs are given go on to their end, for DATAELAN_GRACE seconds. Asked
again, or when these are over, it ends what still runs: as interrupted, with what had arrived (executions/draining).

SIGHUP: new processes, with the code as it is now, take the place of the present ones, which leave in the same way. So
nothing of Dataelan is imported here, only in those: they would inherit what was read before.
"""

from __future__ import annotations

import argparse
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dotenv import dotenv_values
from granian.constants import Interfaces
from granian.server import MPServer

if TYPE_CHECKING:
    from dataelan_web.executions.draining import Draining

GRACE, LONGEST_GRACE = 930, 3600
"""As in dataelan_web.config."""
CUT_WITHIN = 15.0
"""Seconds that a process has to end what it runs, once it is in a hurry."""
KILLED_AFTER = 20
"""… and after which it is killed."""
ONE_WISH = 1.0
"""Seconds in which several signals are one: a terminal tells all of its programs, and so does who started them."""
HURRY = signal.SIGUSR1
MOST, LAST_PORT = 100_000, 65_535
"""Of any number that is set, and of a port."""


class Server(MPServer):
    """granian hears of a second signal, and does nothing; so this passes it on. And a process of its own that is asked
    to leave while it still loads what it serves would never hear of it: until then it has this one's handler."""

    def __init__(self, grace: int, **options: Any):
        super().__init__("wsgi:app", workers_kill_timeout=grace + KILLED_AFTER, **options)
        self._grace, self._asked_at, self._pid = grace, 0.0, os.getpid()

    def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
        if os.getpid() != self._pid:  # forked, and has begun nothing
            os._exit(0)
        now = time.monotonic()
        if not self._asked_at:
            self._asked_at = now
        elif now - self._asked_at >= ONE_WISH:
            self.hurry()
        super().signal_handler_interrupt()  # type: ignore[no-untyped-call]

    def shutdown(self, exit_code: int = 0) -> None:
        over = threading.Timer(self._grace, self.hurry)
        over.daemon = True
        over.start()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]

    def hurry(self) -> None:
        for worker in list(self.wrks):
            with suppress(ProcessLookupError):
                os.kill(worker.inner.pid, HURRY)


def work(locks: Path | None, *arguments: Any, **options: Any) -> None:
    """One process, from granian's fork to its end. `locks`: the data directory, where it keeps to one processor."""
    if locks:
        from dataelan_web.processors import keep_to_one

        keep_to_one(locks)
    asked, tells = os.pipe()
    os.set_blocking(tells, False)
    signal.signal(HURRY, lambda *_: None)  # what follows is told of each signal, whoever handles it
    signal.set_wakeup_fd(tells, warn_on_full_buffer=False)
    threading.Thread(target=listen, args=(asked,), name="leaving", daemon=True).start()
    MPServer._spawn_wsgi_worker(*arguments, **options)  # returns when all connections are closed
    # What runs without one: answers that are read on, or whose program went away before the first byte.
    while (ours := of_this_process()) and ours.has_runs:
        time.sleep(0.05)


def listen(asked: int) -> None:
    """What came from outside, for the part of Dataelan that ends runs. Not in the signal's handler, which stands in the
    way of a thread that may hold what it wants. Ends the process where it does not end by itself, such as for a reader
    who takes nothing in."""
    over_at = math.inf
    while True:
        came = os.read(asked, 64) if select.select([asked], [], [], 0.5)[0] else b""
        if ours := of_this_process():
            if HURRY in came:
                ours.hurry()
            elif signal.SIGTERM in came or signal.SIGINT in came:
                ours.leave()
            if ours.is_hurried.is_set():
                over_at = min(over_at, time.monotonic() + CUT_WITHIN)
                ours.turn()
        if time.monotonic() >= over_at:
            os._exit(1)


def of_this_process() -> Draining | None:
    """None until it is loaded."""
    app = getattr(sys.modules.get("wsgi"), "app", None)
    return app.extensions["dataelan_draining"] if app else None


def options_of(environ: Mapping[str, str], host: str, port: int) -> dict[str, Any]:
    """One thread per request in flight; an open stream is one. A connection that only waits holds no thread, but does
    count against granian's backpressure, which is why that is far above the threads."""
    return {
        "address": host,
        "port": port,
        "interface": Interfaces.WSGI,
        "workers": number(environ, "DATAELAN_WEB_WORKERS", 1),
        "blocking_threads": number(environ, "DATAELAN_WEB_THREADS", 256),
        "backlog": 2048,
        "backpressure": 2048,
        "websockets": False,
        "respawn_failed_workers": True,
    }


def number(environ: Mapping[str, str], name: str, default: int, least: int = 1, most: int = MOST) -> int:
    """Of NAME, or the file of NAME_FILE, as dataelan_web.config reads them. Exits with a word where it is none."""
    text = value(environ, name) or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        sys.exit(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)


def value(environ: Mapping[str, str], name: str) -> str:
    said, path = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "").strip()
    if said or not path:
        return said
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        sys.exit(f"{name}_FILE: {path} cannot be read.")


def read() -> dict[str, str]:
    """The environment, and `.env` for what it does not set."""
    try:
        kept = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    except UnicodeDecodeError:
        sys.exit(".env is not a text file.")
    return {name: said for name, said in kept.items() if f"{name}_FILE" not in os.environ} | dict(os.environ)


def main() -> None:
    environ = read()
    parser = argparse.ArgumentParser(description="The web of Dataelan.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", help="PORT, or 8000")
    asked = parser.parse_args()
    port = number(environ if asked.port is None else {"PORT": asked.port}, "PORT", 8000, most=LAST_PORT)
    signal.signal(HURRY, signal.SIG_IGN)  # inherited, until a process can hear it
    grace = number(environ, "DATAELAN_GRACE", GRACE, least=0, most=LONGEST_GRACE)
    keeps = number(environ, "DATAELAN_PROCESSORS", 1, least=0, most=1) == 1
    locks = Path(value(environ, "DATAELAN_DATA_DIR") or "./var").resolve() if keeps else None
    Server(grace, **options_of(environ, asked.host, port)).serve(spawn_target=partial(work, locks))


if __name__ == "__main__":
    main()
