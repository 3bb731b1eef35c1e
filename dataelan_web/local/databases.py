"""The embedded servers on their own, for as long as a `with` block: for tests, benchmarks and single commands."""

import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import postgres, valkey
from .directory import Directory, Refused
from .program import Program

EMBEDDED = {"DATABASE_URL": postgres, "REDIS_URL": valkey}
PATIENCE = 300  # seconds; a database that recovers after a crash takes its time


@contextmanager
def databases(data_dir: Path | str, durable: bool = True) -> Iterator[dict[str, str]]:
    """Start PostgreSQL and Valkey on this directory, yield DATABASE_URL and REDIS_URL, stop them after.

    `durable=False` trades the data's survival of a power cut for speed: for tests. The servers end with
    the thread that enters the block, so that they cannot be left behind."""
    directory = Directory(data_dir)
    with directory.held("running a command"), servers(directory, EMBEDDED, durable) as environment:
        yield environment


@contextmanager
def servers(directory: Directory, wanted: Collection[str], durable: bool = True) -> Iterator[dict[str, str]]:
    """The same on a directory that the caller holds, and only those whose setting is wanted."""
    with ExitStack() as stack:
        started = [stack.enter_context(running(directory, program)) for program in prepare(directory, wanted, durable)]
        await_answer(directory, wanted, lambda: all(process.poll() is None for process in started))
        yield addresses(directory, wanted)


def prepare(directory: Directory, wanted: Collection[str], durable: bool = True) -> list[Program]:
    return [server.prepare(directory, durable) for setting, server in EMBEDDED.items() if setting in wanted]


def addresses(directory: Directory, wanted: Collection[str]) -> dict[str, str]:
    return {setting: server.url(directory) for setting, server in EMBEDDED.items() if setting in wanted}


def await_answer(directory: Directory, wanted: Collection[str], alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not all(EMBEDDED[setting].answers(directory) for setting in wanted):
        if not alive() or time.monotonic() > deadline:
            raise Refused(f"The embedded databases do not start; see postgres.log and valkey.log in {directory.log}.")
        time.sleep(0.03)


@contextmanager
def running(directory: Directory, program: Program) -> Iterator[subprocess.Popen[bytes]]:
    with open(directory.log / f"{program.name}.log", "ab") as log:
        process = subprocess.Popen(
            program.tethered, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()  # the tether keeps to the program's grace
