"""`make run`: everything from nothing to ready, then watched until asked to stop."""

import itertools
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from . import databases, environment
from .directory import Directory, Refused, is_free
from .leaving import Wishes, leave
from .migrate import migrate
from .programs import ROOT, product
from .ready import still_missing
from .supervisor import Supervisor
from .terminal import Terminal, say
from .tether import PR_SET_PDEATHSIG, prctl


class Stopped(Exception):
    """Somebody asked us to stop."""


def run() -> None:
    environ = environment.read(ROOT)
    port = environment.port(environ)
    directory = environment.data_directory(environ, ROOT)
    if os.environ.get("MAKELEVEL"):  # started by make: not left behind when make is killed
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    with stoppable() as (supervisors, wishes), directory.held("running", f"http://127.0.0.1:{port}") as lock:
        if not is_free(port):
            raise Refused(f"Port {port} is taken by another program; choose another one: PORT=8001 make run")
        serve(directory, environ, port, lock, supervisors, wishes)


def serve(
    directory: Directory,
    environ: Mapping[str, str],
    port: int,
    lock: int,
    supervisors: list[Supervisor],
    wishes: Wishes,
) -> None:
    wanted = environment.embedded(environ)
    say("Starting Dataelan …" if (directory.path / "secret-key").exists() else "Starting Dataelan for the first time …")
    added = environment.made_up(environ, directory)
    complete = {**environ, **added}
    servers = databases.prepare(directory, wanted)
    ours = product(environ, port, directory.port("simulated"))
    terminal = Terminal(directory.log, ours)
    with Supervisor(directory, [*servers, *ours], complete, lock, ROOT) as supervisor:
        try:
            supervisor.start(*(server.name for server in servers), "simulated")
            await_databases(directory, wanted, supervisor, terminal)
            migrate(complete, directory.log)
            directory.announce(doing="running", url=f"http://127.0.0.1:{port}", environment=added)
            supervisor.start("worker", "web")
            await_ready(supervisor, terminal, port)
            watch(supervisor, terminal)
        except Stopped:
            leave(supervisor, complete, terminal, wishes)
            supervisors.append(supervisor)  # from now on, who asks again has no answers to lose
            raise


def await_databases(directory: Directory, wanted: set[str], supervisor: Supervisor, terminal: Terminal) -> None:
    def alive() -> bool:
        terminal.waiting_for("the databases")
        return supervisor.alive()

    databases.await_answer(directory, wanted, alive)


def await_ready(supervisor: Supervisor, terminal: Terminal, port: int) -> None:
    while missing := still_missing(port):
        terminal.waiting_for(missing)
        insist(supervisor, terminal)
        time.sleep(0.05)
    say(f"Dataelan is ready: http://127.0.0.1:{port}")
    say(f"Ctrl-C stops it. Logs are in {terminal.logs}")


def watch(supervisor: Supervisor, terminal: Terminal) -> None:
    for turn in itertools.count():
        terminal.show()
        insist(supervisor, terminal)
        if turn % 10 == 0:
            supervisor.revive()
        time.sleep(0.5)


def insist(supervisor: Supervisor, terminal: Terminal) -> None:
    if not supervisor.alive():
        raise Refused(f"The supervisor has died, and all it ran with it; see {terminal.logs / 'supervisor.log'}.")


@contextmanager
def stoppable() -> Iterator[tuple[list[Supervisor], Wishes]]:
    """SIGINT, SIGTERM and SIGHUP stop in order: what is being answered may end. A second one ends it (leaving.py)."""
    supervisors: list[Supervisor] = []
    wishes = Wishes()

    def stop(request: int, frame: FrameType | None) -> None:
        wish = wishes.add()
        if wish == 1:
            say("\nStopping …")
            raise Stopped
        for supervisor in supervisors if wish else ():
            supervisor.hurry()

    for request in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if request != signal.SIGHUP or signal.getsignal(request) != signal.SIG_IGN:  # nohup make run
            signal.signal(request, stop)
    try:
        yield supervisors, wishes
    except Stopped:
        say("Stopped.")
